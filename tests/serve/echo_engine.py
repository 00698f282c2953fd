"""An engine pod without Triton: the same gRPC messages and the same metadata, answered by an echo at once.

``python echo_engine.py LABEL METADATA.json TOKENIZER.json TROUBLE GRPC_PORT HTTP_PORT``: every token's text is the
label, so that a test sees who answered; the label ``counting`` says the number of the prompt's tokens, then counts in
words, and ends at a stop string. ``temperature`` x 100 ms pass before each token, as with the echo model in Triton.
While the file TROUBLE is there, every second request is answered with an error.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from tritonclient.grpc import service_pb2, service_pb2_grpc

from daybreak_serve.engine import protocol
from daybreak_serve.engine.protocol import Chunk
from daybreak_serve.gateway.pool.streams import FINAL

COUNTING = "counting"
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class Echo(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Answers completions."""

    def __init__(self, label: str, trouble: Path) -> None:
        self._label = label
        self._trouble = trouble
        self._num_troubled = 0

    async def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=True)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if self._is_troubled():
                error = service_pb2.ModelStreamInferResponse(error_message="the model broke")
                error.infer_response.parameters[FINAL].bool_param = True
                yield error
                continue
            options = protocol.decode_options(request.raw_input_contents[1][4:])
            for number in range(options.max_tokens):
                if options.temperature:
                    await asyncio.sleep(options.temperature / 10)
                reason = "length" if number + 1 == options.max_tokens else None
                text = self._label if self._label != COUNTING else _counted(request, number)
                if text in options.stop:
                    yield self._message(Chunk("", (number,), "stop", text))
                    break
                yield self._message(Chunk(f"{text} ", (number,), reason))

    def _is_troubled(self) -> bool:
        if not self._trouble.exists():
            return False
        self._num_troubled += 1
        return self._num_troubled % 2 == 1

    def _message(self, chunk: Chunk) -> Any:
        message = service_pb2.ModelStreamInferResponse()
        data = protocol.encode_chunk(chunk)
        message.infer_response.raw_output_contents.append(len(data).to_bytes(4, "little") + data)
        message.infer_response.parameters[FINAL].bool_param = chunk.finish_reason is not None
        return message


def _counted(request: Any, number: int) -> str:
    """Return how many tokens the prompt has (four bytes each), then a word."""
    return NUMBERS[(number - 1) % len(NUMBERS)] if number else str(len(request.raw_input_contents[0]) // 4)


async def main(label: str, metadata: str, tokenizer: str, trouble: str, *ports: str) -> None:
    grpc_port, http_port = ports
    options = [
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),  # as Triton is told to
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    server = grpc.aio.server(options=options)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Echo(label, Path(trouble)), server)
    assert server.add_insecure_port(f"127.0.0.1:{grpc_port}") == int(grpc_port)
    await server.start()

    async def show(request: Any) -> Response:
        file = metadata if request.url.path == "/model" else tokenizer
        return Response(await asyncio.to_thread(Path(file).read_bytes), media_type="application/json")

    app = Starlette(routes=[Route("/model", show), Route("/tokenizer", show)])
    config = uvicorn.Config(app, port=int(http_port), log_level="critical", ws="none", lifespan="off")
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
