"""The engine inside Triton's Python backend: requests in, chunks out, nothing decided here.

Runs in Triton's stub process, which brings ``triton_python_backend_utils``. Generation is `engine`'s.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from daybreak_model.vocabulary import token_bytes
from daybreak_serve.engine import protocol
from daybreak_serve.engine.heartbeat import Heartbeat, heartbeat_file
from daybreak_serve.engine.protocol import Chunk
from daybreak_serve.engine.scheduler import Counters, Engine, EngineModel


class TritonSink:
    """A Triton request as the engine's `ChunkSink`."""

    def __init__(self, request: Any, metrics: EngineMetrics) -> None:
        self._sender = request.get_response_sender()
        self._metrics = metrics
        metrics.begin()

    def cancelled(self) -> bool:
        """Ask Triton; costs some 0.2 ms, the price of stopping within one token."""
        return bool(self._sender.is_cancelled())

    def send(self, chunk: Chunk) -> None:
        """Send one decoupled response, flagged as the last when the chunk has a finish reason."""
        flags = triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL if chunk.finish_reason else 0
        data = np.array([protocol.encode_chunk(chunk)], dtype=np.object_)
        response = triton.InferenceResponse(output_tensors=[triton.Tensor(protocol.CHUNK, data)])
        if chunk.finish_reason:
            self._metrics.publish()
        self._sender.send(response, flags=flags)
        if chunk.finish_reason:
            self._metrics.end()

    def fail(self, reason: str) -> None:
        """Send an error as the last response."""
        response = triton.InferenceResponse(error=triton.TritonError(reason))
        self._sender.send(response, flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        self._metrics.end()


class TritonPythonModel:
    """What Triton looks for in ``model.py``."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model, warm it up and start the engine's thread."""
        config = json.loads(args["model_config"])
        parameters = {key: entry["string_value"] for key, entry in config["parameters"].items()}
        folder = Path(args["model_repository"]) / args["model_version"] / parameters["model_folder"]
        beat = Heartbeat(heartbeat_file(Path(args["model_repository"]).parent), time.monotonic)
        self._engine = build_engine(folder, parameters, self._load(folder, parameters), beat)
        self._metrics = EngineMetrics(self._engine.counters)
        threading.excepthook = _die
        self._thread = threading.Thread(target=self._engine.run, name="engine", daemon=True)
        self._thread.start()

    def _load(self, folder: Path, parameters: dict[str, str]) -> EngineModel:
        from daybreak_serve.engine.llama import LlamaModel

        model = LlamaModel(
            folder,
            num_threads=int(parameters["num_threads"]),
            kept_caches=int(parameters["kept_caches"]),
        )
        cache, _ = model.start([0, 0])
        model.advance(cache, [0, 0])  # the first call allocates; no user should wait for that
        return model

    def execute(self, requests: list[Any]) -> None:
        """Hand requests to the engine; answers go out by their response senders."""
        for request in requests:
            sink = TritonSink(request, self._metrics)
            prompt = triton.get_input_tensor_by_name(request, protocol.PROMPT_IDS).as_numpy()
            text = triton.get_input_tensor_by_name(request, protocol.OPTIONS).as_numpy()[0]
            try:
                options = protocol.decode_options(text)
            except ValueError as error:
                sink.fail(str(error))
                continue
            self._engine.submit(prompt.tolist(), options, sink)

    def finalize(self) -> None:
        """Stop the engine's thread."""
        self._engine.close()
        self._thread.join(timeout=5)


class EngineMetrics:
    """The engine's counters as Triton metrics, brought up to date when a request ends."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._families = []  # Triton drops a family that nobody references
        self._metrics = {}
        for name in vars(counters):
            family = triton.MetricFamily(
                name=f"daybreak_engine_{name}_total",
                description=f"{name.replace('_', ' ')} since the engine started",
                kind=triton.MetricFamily.COUNTER,
            )
            self._families.append(family)
            self._metrics[name] = family.Metric(labels={})
        running = triton.MetricFamily(
            name=protocol.RUNNING_METRIC,
            description="requests that were not yet answered to their end",
            kind=triton.MetricFamily.GAUGE,
        )
        self._families.append(running)
        self._running = running.Metric(labels={})
        self._num_running = 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Count a request as running; Triton's threads and the engine's meet here."""
        self._add(1)

    def end(self) -> None:
        """Count a request as answered."""
        self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            self._num_running += number
            self._running.set(self._num_running)

    def publish(self) -> None:
        """Add what was counted since the last time."""
        for name, metric in self._metrics.items():
            missing = getattr(self._counters, name) - metric.value()
            if missing > 0:
                metric.increment(missing)


def build_engine(
    folder: Path, parameters: dict[str, str], model: EngineModel, beat: Callable[[], None]
) -> Engine:
    """Return the engine for a model folder and the parameters of its config.pbtxt."""
    tokenizer = (folder / "tokenizer.json").read_text(encoding="utf-8")
    return Engine(
        model,
        token_bytes(tokenizer, special_as_text=False),
        frozenset(int(token) for token in parameters["end_ids"].split(",") if token),
        clock=time.monotonic,
        beat=beat,
        new_seed=lambda: random.SystemRandom().getrandbits(32),
        max_running=int(parameters["max_running"]),
        prompt_piece=int(parameters["prompt_piece"]),
    )


def _die(arguments: threading.ExceptHookArgs) -> None:
    """End the stub when the engine's thread dies of a bug: Triton then reports it, no request waits for ever."""
    threading.__excepthook__(arguments)
    sys.stderr.flush()
    os._exit(70)
