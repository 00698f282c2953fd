"""vLLM inside Triton's Python backend: its process is started, asked, watched and ended here.

Runs in Triton's stub process, in an environment that has vLLM (`installation.ENVIRONMENTS`). How requests are answered
is `answering`'s, what vLLM is told `arguments`'.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import threading
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daybreak_model.vocabulary import token_bytes
from daybreak_serve.engine.chunks import ChunkSink
from daybreak_serve.engine.heartbeat import Heartbeat, heartbeat_file
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.engine.triton_requests import BUG, EngineMetrics, die, parameters_of, submit_all
from daybreak_serve.engine.vllm import arguments
from daybreak_serve.engine.vllm.answering import AsyncEngine, ModelDied, ModelLimits, ModelRefused, NewTokens
from daybreak_serve.engine.vllm.processes import tie_children

STOP_S = 10.0
WARM_UP = GenerationOptions(max_tokens=2)


class TritonVLLMModel:
    """What Triton looks for in ``model.py``."""

    def initialize(self, args: dict[str, str]) -> None:
        """Start vLLM and let it make two tokens; what it cannot run is told now, not at the first request."""
        parameters = parameters_of(args["model_config"])
        repository = Path(args["model_repository"])
        folder = repository / args["model_version"] / parameters["model_folder"]
        beat = Heartbeat(heartbeat_file(repository.parent), time.monotonic)
        caches = repository.parent.with_name("caches")
        os.environ.update(arguments.environment(parameters, caches))
        tie_children(caches)  # the thread that starts vLLM lives as long as this process
        threading.excepthook = die
        self._engine = EngineThread(folder, parameters, beat)
        self._metrics = EngineMetrics(self._engine.start().counters)

    def execute(self, requests: list[Any]) -> None:
        """Hand requests to the engine."""
        submit_all(requests, self._metrics, self._engine.submit)

    def finalize(self) -> None:
        """End vLLM."""
        self._engine.close()


class EngineThread:
    """The event loop that vLLM wants, in a thread of its own."""

    def __init__(self, folder: Path, parameters: dict[str, str], beat: Callable[[], None]) -> None:
        self._folder = folder
        self._parameters = parameters
        self._beat = beat
        self._started: Future[AsyncEngine] = Future()
        self._answers: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="engine", daemon=True)

    def start(self) -> AsyncEngine:
        """Return the engine once it has answered; why it cannot is raised here."""
        self._thread.start()
        return self._started.result()

    def submit(self, prompt_ids: Sequence[int], options: GenerationOptions, sink: ChunkSink) -> None:
        """Begin to answer a request; for Triton's thread."""
        self._loop.call_soon_threadsafe(self._begin, prompt_ids, options, sink)

    def close(self) -> None:
        """End the loop, what is in work, and vLLM's process."""
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(timeout=STOP_S)

    async def _run(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        starting = asyncio.create_task(self._load())
        await asyncio.wait((starting,))
        if (error := starting.exception()) is not None:
            self._started.set_exception(error)
            return
        model, engine = starting.result()
        self._engine = engine
        self._started.set_result(engine)
        beating = asyncio.create_task(engine.beat_while_idle())
        beating.add_done_callback(self._ended)
        try:
            await self._ending.wait()
        finally:
            for task in (beating, *self._answers):
                task.cancel()
            await asyncio.wait((beating, *self._answers))
            model.close()

    async def _load(self) -> tuple[VLLMModel, AsyncEngine]:
        model = VLLMModel(self._folder, self._parameters)
        tokenizer = (self._folder / "tokenizer.json").read_text(encoding="utf-8")
        limits = ModelLimits(
            int(self._parameters["context_length"]), int(self._parameters["vocabulary_size"]), model.end_ids
        )
        vocabulary = token_bytes(tokenizer, special_as_text=False)
        engine = AsyncEngine(model, vocabulary, limits, clock=time.monotonic, beat=self._beat)
        async for _ in model.generate([0, 0], WARM_UP):
            pass
        model.on_progress(engine.progressed)
        return model, engine

    def _begin(self, prompt_ids: Sequence[int], options: GenerationOptions, sink: ChunkSink) -> None:
        task = asyncio.create_task(self._engine.answer(prompt_ids, options, sink))
        self._answers.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the stub when an answer ended by a death or a bug: Triton reports it, no request waits for ever."""
        self._answers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            traceback.print_exception(error)
            sys.stderr.flush()
            os._exit(BUG)


class VLLMModel:
    """vLLM's async engine as a `TokenModel`. Made inside of a running event loop."""

    def __init__(self, folder: Path, parameters: dict[str, str]) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.metrics.loggers import StatLoggerBase

        is_cpu = current_platform.is_cpu()
        machine = arguments.EngineMachine(is_cpu, 0 if is_cpu else current_platform.device_count())
        seed = random.SystemRandom().getrandbits(31)
        self.end_ids = frozenset(int(token) for token in parameters["end_ids"].split(",") if token)
        self._serial = itertools.count()
        self._progressed: Callable[[], None] = lambda: None
        model = self

        class Steps(StatLoggerBase):
            """Hears of every step of the engine, also of those that only read a piece of a prompt."""

            def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
                pass

            def record(self, *args: Any, **kwargs: Any) -> None:
                model._progressed()

            def log_engine_initialized(self) -> None:
                pass

        found = arguments.engine_arguments(folder, parameters, machine, seed)
        self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**found), stat_loggers=[Steps])

    def on_progress(self, progressed: Callable[[], None]) -> None:
        """Call this at every step."""
        self._progressed = progressed

    async def generate(
        self, prompt_ids: Sequence[int], options: GenerationOptions
    ) -> AsyncGenerator[NewTokens, None]:
        """Return the tokens of a request as they come; closed early, vLLM frees its place."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        asked = asdict(options)
        asked.pop("stop")
        sampling = SamplingParams(
            **asked,
            stop_token_ids=sorted(self.end_ids),
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        prompt = {"prompt_token_ids": list(prompt_ids)}
        answers = self._llm.generate(prompt, sampling, str(next(self._serial)))
        try:
            async for output in answers:
                yield NewTokens(output.outputs[0].token_ids, output.num_cached_tokens or 0)
        except EngineDeadError as error:
            raise ModelDied(f"vLLM's process died: {error}") from error
        except (EngineGenerateError, ValueError) as error:
            raise ModelRefused(str(error.__cause__ or error)) from error
        finally:
            await answers.aclose()

    async def answers(self) -> None:
        """Ask vLLM's process something: a stopped one never says."""
        await self._llm.is_sleeping()

    def close(self) -> None:
        """End vLLM's process."""
        self._llm.shutdown()
