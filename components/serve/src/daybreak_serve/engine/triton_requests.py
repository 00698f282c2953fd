"""A request in Triton's Python backend as an engine sees it, the engine's counters as metrics, and how a stub ends.

Runs in Triton's stub process, which brings ``triton_python_backend_utils``. Owns no engine.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from daybreak_serve.engine import protocol
from daybreak_serve.engine.chunks import ChunkSink
from daybreak_serve.engine.counters import Counters
from daybreak_serve.engine.protocol import Chunk, GenerationOptions

BUG = 70
"""Exit code of a stub that a bug or a death ended."""
Submit = Callable[[Sequence[int], GenerationOptions, ChunkSink], None]


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


def parameters_of(model_config: str) -> dict[str, str]:
    """Return the parameters of a config.pbtxt as Triton hands it to a backend."""
    entries = json.loads(model_config)["parameters"]
    return {key: entry["string_value"] for key, entry in entries.items()}


def submit_all(requests: Sequence[Any], metrics: EngineMetrics, submit: Submit) -> None:
    """Hand requests to an engine; answers go out by their response senders."""
    for request in requests:
        sink = TritonSink(request, metrics)
        prompt = triton.get_input_tensor_by_name(request, protocol.PROMPT_IDS).as_numpy()
        text = triton.get_input_tensor_by_name(request, protocol.OPTIONS).as_numpy()[0]
        try:
            options = protocol.decode_options(text)
        except ValueError as error:
            sink.fail(str(error))
            continue
        submit(prompt.tolist(), options, sink)


def die(arguments: threading.ExceptHookArgs) -> None:
    """End the stub when the engine's thread dies of a bug: Triton then reports it, no request waits for ever."""
    threading.__excepthook__(arguments)
    sys.stderr.flush()
    os._exit(BUG)
