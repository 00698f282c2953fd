"""Requests by a model that batches by itself: the same chunks as our own engine's, cancelling, refusing, dying."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.engine.vllm.answering import AsyncEngine, ModelDied, ModelLimits, ModelRefused, NewTokens
from tests.serve.engine.test_engine import END, VOCABULARY, Caller, CountingModel, new_engine, run

LIMITS = ModelLimits(context_length=64, vocabulary_size=128, end_ids=frozenset({END}))


@dataclass
class SuccessorModel:
    """Answers successors like `CountingModel`, some tokens at a time; remembers who was let go."""

    at_once: int = 1
    pause_s: float = 0.0
    reused: int = 0
    fails: Exception | None = None
    ends_after: int = 1_000
    made: int = 0
    left: list[int] = field(default_factory=list)
    hangs: bool = False

    async def answers(self) -> None:
        while self.hangs:
            await asyncio.sleep(0.1)

    async def generate(
        self, prompt_ids: Sequence[int], options: GenerationOptions
    ) -> AsyncGenerator[NewTokens, None]:
        token = prompt_ids[-1]
        try:
            for _ in range(min(self.ends_after, options.max_tokens)):
                await asyncio.sleep(self.pause_s)
                if self.fails is not None:
                    raise self.fails
                tokens = [(token + number) % 128 for number in range(1, self.at_once + 1)]
                token = tokens[-1]
                self.made += len(tokens)
                yield NewTokens(tokens, self.reused)
        finally:
            self.left.append(prompt_ids[-1])


def engine_of(model: SuccessorModel, beats: list[float] | None = None) -> AsyncEngine:
    taken = [] if beats is None else beats
    return AsyncEngine(
        model, VOCABULARY, LIMITS, clock=time.monotonic, beat=lambda: taken.append(time.monotonic())
    )


async def asked(engine: AsyncEngine, prompt: list[int], caller: Caller, **options: object) -> Caller:
    await engine.answer(prompt, GenerationOptions(**{"max_tokens": 8, **options}), caller)  # type: ignore[arg-type]
    return caller


@given(
    last=st.integers(1, 127),
    max_tokens=st.integers(1, 40),
    stop=st.lists(st.text("abcdyz{|}", min_size=1, max_size=3), max_size=3),
    at_once=st.integers(1, 5),
)
async def test_text_tokens_and_reason_are_our_own_engines(
    last: int, max_tokens: int, stop: list[str], at_once: int
) -> None:
    options = GenerationOptions(max_tokens=max_tokens, stop=tuple(stop))
    own, ours = new_engine(CountingModel()), Caller()
    own.submit([1, last], options, ours)
    run(own, ours)
    theirs = Caller()
    await engine_of(SuccessorModel(at_once=at_once)).answer([1, last], options, theirs)
    assert theirs.text == ours.text
    assert theirs.chunks[-1].finish_reason == ours.chunks[-1].finish_reason
    tokens = [[token for chunk in caller.chunks for token in chunk.token_ids] for caller in (theirs, ours)]
    assert tokens[0] == tokens[1]


async def test_whoever_leaves_stops_his_request_and_no_other() -> None:
    model = SuccessorModel(pause_s=0.03)
    engine = engine_of(model)
    leaver, stayer = Caller(patience=1), Caller()
    await asyncio.gather(
        asked(engine, [40], leaver, max_tokens=50), asked(engine, [70], stayer, max_tokens=6)
    )
    assert leaver.chunks[-1].finish_reason == "cancelled"
    assert (stayer.text, stayer.chunks[-1].finish_reason) == ("GHIJKL", "length")
    assert sorted(model.left) == [40, 70]
    assert model.made <= 6 + 4  # some 50 were asked for
    assert engine.counters.cancelled == 1
    assert engine.counters.wasted_tokens >= 1


async def test_one_who_left_while_he_waited_is_noticed_before_the_first_token() -> None:
    model = SuccessorModel(pause_s=30)
    caller = await asyncio.wait_for(asked(engine_of(model), [40], Caller(patience=0)), 5)
    assert (caller.chunks[-1].finish_reason, model.made, model.left) == ("cancelled", 0, [40])


async def test_a_stop_string_lets_the_model_go() -> None:
    model = SuccessorModel()
    caller = await asked(engine_of(model), [64], Caller(), max_tokens=30, stop=("CD",))
    assert (caller.text, caller.chunks[-1].finish_reason) == ("AB", "stop")
    assert (model.made, model.left) == (4, [64])


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        pytest.param([], "the prompt is empty", id="nothing"),
        pytest.param([1] * 60, "exceed the context of 64", id="too long"),
        pytest.param([128], "outside the vocabulary of 128", id="no token"),
    ],
)
async def test_what_cannot_be_answered_is_refused_before_the_model_sees_it(
    prompt: list[int], reason: str
) -> None:
    model = SuccessorModel()
    caller = await asked(engine_of(model), prompt, Caller())
    assert reason in str(caller.failure)
    assert model.left == []


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(SuccessorModel(fails=ModelRefused("no memory")), "no memory", id="refused"),
        pytest.param(SuccessorModel(ends_after=2), "ended early", id="ended early"),
    ],
)
async def test_a_failure_is_its_requests_alone(model: SuccessorModel, reason: str) -> None:
    engine = engine_of(model)
    assert reason in str((await asked(engine, [40], Caller())).failure)
    model.fails, model.ends_after = None, 1_000
    assert (await asked(engine, [64], Caller(), max_tokens=2)).text == "AB"


async def test_a_death_is_told_to_the_owner_and_not_answered() -> None:
    caller = Caller()
    with pytest.raises(ModelDied):
        await asked(engine_of(SuccessorModel(fails=ModelDied("gone"))), [40], caller)
    assert not caller.is_done


async def test_an_engine_that_stops_says_so_to_those_who_wait() -> None:
    caller = Caller()
    answering = asyncio.create_task(asked(engine_of(SuccessorModel(pause_s=30)), [40], caller))
    await asyncio.sleep(0.05)
    answering.cancel()
    await asyncio.wait((answering,))
    assert caller.failure == "the engine stops"


async def test_the_counters_are_those_of_our_own_engine() -> None:
    engine = engine_of(SuccessorModel(reused=2))
    for _ in range(2):
        await asked(engine, [1, 2, 64], Caller(), max_tokens=5)
    counters = engine.counters
    assert (counters.requests, counters.prompt_tokens, counters.reused_prompt_tokens) == (2, 6, 4)
    assert (counters.tokens, counters.cancelled) == (10, 0)


async def test_an_idle_engine_whose_model_hangs_does_not_beat() -> None:
    beats: list[float] = []
    model = SuccessorModel(hangs=True)
    beating = asyncio.create_task(engine_of(model, beats).beat_while_idle())
    await asyncio.sleep(0.3)
    assert beats == []
    model.hangs = False
    await asyncio.sleep(0.3)
    assert len(beats) == 1
    beating.cancel()


async def test_an_idle_engine_beats_and_one_whose_model_hangs_does_not() -> None:
    beats: list[float] = []
    engine = engine_of(SuccessorModel(pause_s=30), beats)
    beating = asyncio.create_task(engine.beat_while_idle())
    await asyncio.sleep(0)
    assert len(beats) == 1
    answering = asyncio.create_task(asked(engine, [40], Caller()))
    await asyncio.sleep(1.2)
    assert len(beats) == 1, "a request is in work and nothing comes of it"
    engine.progressed()
    assert len(beats) == 2
    answering.cancel()
    await asyncio.sleep(1.2)
    assert len(beats) > 2
    beating.cancel()
