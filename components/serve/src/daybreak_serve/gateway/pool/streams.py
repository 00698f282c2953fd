"""Triton's decoupled gRPC streams: one request at a time on each, kept open between requests.

Opening a stream costs more than a whole unary call (some 0.8 ms measured), so streams are pooled; and because no
two requests share one, cancelling a request is cancelling its stream, which the engine sees within some 10 ms.
Speaks through tritonclient's protocol stubs on ``grpc.aio``, below its ``stream_infer``: the same messages
without its queue and task per stream.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from daybreak_serve.engine import protocol
from daybreak_serve.engine.protocol import Chunk, GenerationOptions

PING_S = 3
"""How often a connection is tried; the engine's side must allow as much (`triton.PING_FLAGS`)."""
PONG_S = 5
"""How long an answer to that may take: a busy machine is not a dead one."""
_CHANNEL_OPTIONS = (
    # A dead engine is tried again soon: the default backs off to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 400),
    ("grpc.max_receive_message_length", 4 << 20),
    ("grpc.enable_http_proxy", 0),  # the engine is a neighbour, whatever http_proxy says
    # A machine that is gone says nothing: without pings its requests would wait for TCP, or for `timeout_s`.
    ("grpc.keepalive_time_ms", 1000 * PING_S),
    ("grpc.keepalive_timeout_ms", 1000 * PONG_S),
    ("grpc.http2.ping_timeout_ms", 1000 * PONG_S),  # the one that counts (measured with grpcio 1.85)
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
FINAL = "triton_final_response"
WITH_FINAL = "triton_enable_empty_final_response"


class EngineDown(Exception):  # noqa: N818 - a state of the world
    """No engine answers, or it went away while it answered."""


class EngineRefused(Exception):  # noqa: N818
    """The engine answered with an error of its own."""


class EngineStream:
    """One bidirectional stream; used again once an answer was read to its end."""

    def __init__(self, stub: Any, timeout_s: float) -> None:
        try:
            self._call = stub.ModelStreamInfer()
        except grpc.aio.UsageError as error:
            raise EngineDown(f"the connection was closed: {error}") from error
        self._timeout_s = timeout_s
        self._is_cancelled = asyncio.Event()
        self.is_idle = True

    @property
    def is_usable(self) -> bool:
        """Tell whether a request may be written."""
        return self.is_idle and not self._call.done() and not self._is_cancelled.is_set()

    def cancel(self) -> None:
        """End the stream and the generation on it; who writes to it or reads from it sees ``CancelledError``."""
        self._is_cancelled.set()
        self._call.cancel()

    async def ask(self, request: Any) -> None:
        """Send a request; `next_chunk` reads its answer. `EngineDown` when there is nobody to read it."""
        self.is_idle = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._write(request)
        except TimeoutError as error:
            raise EngineDown(f"the engine took no request for {self._timeout_s:g} s") from error
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            raise EngineDown(_reason(error)) from error

    async def _write(self, request: Any) -> None:
        """Write, or leave when the stream is cancelled.

        A call of ``grpc.aio`` that is cancelled before its metadata went out never returns from ``write``
        (measured with grpcio 1.85): its client's place would be held until the time limit.
        """
        writing = asyncio.ensure_future(self._call.write(request))
        cancelled = asyncio.ensure_future(self._is_cancelled.wait())
        try:
            await asyncio.wait((writing, cancelled), return_when=asyncio.FIRST_COMPLETED)
            if self._is_cancelled.is_set():
                raise asyncio.CancelledError
            writing.result()
        finally:
            cancelled.cancel()
            writing.cancel()
            with contextlib.suppress(asyncio.InvalidStateError, asyncio.CancelledError):
                writing.exception()  # looked at, so that nobody complains of it later

    async def next_chunk(self) -> Chunk | None:
        """Return the next chunk, None after the last. `EngineDown` and `EngineRefused` tell what went wrong."""
        try:
            while not self.is_idle:
                async with asyncio.timeout(self._timeout_s):
                    message = await self._call.read()
                chunk = self._chunk_of(message)
                if chunk is not None:
                    return chunk
        except TimeoutError as error:
            raise EngineDown(f"the engine was silent for {self._timeout_s:g} s") from error
        except grpc.aio.AioRpcError as error:
            raise EngineDown(_reason(error)) from error
        return None

    def _chunk_of(self, message: Any) -> Chunk | None:
        if message is grpc.aio.EOF:
            raise EngineDown("the engine closed the stream")
        response = message.infer_response
        self.is_idle = bool(response.parameters[FINAL].bool_param) if FINAL in response.parameters else False
        if message.error_message:
            raise EngineRefused(message.error_message)
        if not response.raw_output_contents:
            return None
        return protocol.decode_chunk(response.raw_output_contents[0][4:])  # after the length of the string


def _reason(error: Exception) -> str:
    if isinstance(error, grpc.aio.AioRpcError):
        return f"{error.code().name}: {error.details()}"
    return str(error)


class EngineClient:
    """The engine as the gateway sees it."""

    def __init__(self, address: str, *, timeout_s: float, num_spare: int = 4) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._timeout_s = timeout_s
        self._num_spare = num_spare
        self._spare: list[EngineStream] = []

    async def close(self) -> None:
        """Cancel what is open and close the channel."""
        for stream in self._spare:
            stream.cancel()
        await self._channel.close()

    async def is_ready(self) -> bool:
        """Ask Triton whether the model can be asked."""
        request = service_pb2.ModelReadyRequest(name=protocol.MODEL_NAME)
        try:
            answer = await self._stub.ModelReady(request, timeout=min(2.0, self._timeout_s))
        except (grpc.aio.AioRpcError, grpc.aio.UsageError):
            return False
        return bool(answer.ready)

    def open(self) -> EngineStream:
        """Return a stream that is free: a spare one, else a new one."""
        while self._spare:
            stream = self._spare.pop()
            if stream.is_usable:
                return stream
            stream.cancel()
        return EngineStream(self._stub, self._timeout_s)

    def give_back(self, stream: EngineStream) -> None:
        """Keep a stream whose answer was read to its end; replace one that was cancelled by a fresh one."""
        if not stream.is_usable:
            stream.cancel()
            stream = EngineStream(self._stub, self._timeout_s)
        if len(self._spare) < self._num_spare:
            self._spare.append(stream)
        else:
            stream.cancel()

    async def complete(self, prompt_ids: Sequence[int], options: GenerationOptions) -> tuple[int, ...]:
        """Return the token ids of a whole completion; for probes."""
        stream = self.open()
        token_ids: list[int] = []
        try:
            await stream.ask(infer_request(prompt_ids, options, "probe"))
            while (chunk := await stream.next_chunk()) is not None:
                token_ids += chunk.token_ids
        finally:
            self.give_back(stream)
        return tuple(token_ids)


def infer_request(prompt_ids: Sequence[int], options: GenerationOptions, request_id: str) -> Any:
    """Return Triton's message for a request."""
    request = service_pb2.ModelInferRequest(model_name=protocol.MODEL_NAME, id=request_id)
    request.parameters[WITH_FINAL].bool_param = True
    request.inputs.add(name=protocol.PROMPT_IDS, datatype="INT32", shape=[len(prompt_ids)])
    request.inputs.add(name=protocol.OPTIONS, datatype="BYTES", shape=[1])
    text = protocol.encode_options(options)
    request.raw_input_contents.append(np.asarray(prompt_ids, dtype=np.int32).tobytes())
    request.raw_input_contents.append(len(text).to_bytes(4, "little") + text)
    return request
