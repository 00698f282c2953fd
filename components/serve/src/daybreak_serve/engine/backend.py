"""The engine inside Triton's Python backend: requests in, chunks out, nothing decided here.

Runs in Triton's stub process. Generation is `engine`'s.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from daybreak_model.vocabulary import token_bytes
from daybreak_serve.engine.heartbeat import Heartbeat, heartbeat_file
from daybreak_serve.engine.scheduler import Engine, EngineModel
from daybreak_serve.engine.triton_requests import EngineMetrics, die, parameters_of, submit_all
from daybreak_serve.standby import wait_until_wanted


class TritonPythonModel:
    """What Triton looks for in ``model.py``."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model, warm it up and start the engine's thread."""
        from daybreak_serve.engine import decoder  # noqa: F401 - imports torch, which takes the longest

        wait_until_wanted(os.environ)
        parameters = parameters_of(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"] / parameters["model_folder"]
        beat = Heartbeat(heartbeat_file(Path(args["model_repository"]).parent), time.monotonic)
        self._engine = build_engine(folder, parameters, self._load(folder, parameters), beat)
        self._metrics = EngineMetrics(self._engine.counters)
        threading.excepthook = die
        self._thread = threading.Thread(target=self._engine.run, name="engine", daemon=True)
        self._thread.start()

    def _load(self, folder: Path, parameters: dict[str, str]) -> EngineModel:
        from daybreak_serve.engine.decoder import DecoderModel

        model = DecoderModel(
            folder,
            num_threads=int(parameters["num_threads"]),
            kept_caches=int(parameters["kept_caches"]),
        )
        cache, _ = model.start([0, 0])
        model.advance(cache, [0, 0])  # the first call allocates; no user should wait for that
        return model

    def execute(self, requests: list[Any]) -> None:
        """Hand requests to the engine."""
        submit_all(requests, self._metrics, self._engine.submit)

    def finalize(self) -> None:
        """Stop the engine's thread."""
        self._engine.close()
        self._thread.join(timeout=5)


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
