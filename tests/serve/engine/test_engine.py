"""The scheduler with a model that counts: turns, groups, cancelling, failing, closing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_serve.engine.chunks import is_group_ready
from daybreak_serve.engine.decoder import common_start
from daybreak_serve.engine.protocol import Chunk, GenerationOptions, decode_chunk, encode_chunk
from daybreak_serve.engine.scheduler import Engine

VOCABULARY = [bytes([index]) for index in range(128)]
END = 0


@dataclass
class CountingModel:
    """Answers the successor of the last token; remembers what it was fed."""

    context_length: int = 64
    vocabulary_size: int = 128
    reused: int = 0
    fed: list[list[int]] = field(default_factory=list)
    released: list[tuple[list[int], list[int]]] = field(default_factory=list)
    broken_at: int | None = None
    together: list[int] = field(default_factory=list)

    def start(self, prompt_ids: Sequence[int]) -> tuple[list[int], int]:
        return list(prompt_ids[: self.reused]), self.reused

    def advance(self, cache: list[int], token_ids: Sequence[int]) -> Any:
        if token_ids[-1] == self.broken_at:
            raise RuntimeError("not enough memory")
        self.fed.append(list(token_ids))
        cache.extend(token_ids)
        logits = np.zeros(self.vocabulary_size, np.float32)
        logits[(token_ids[-1] + 1) % self.vocabulary_size] = 1
        return logits

    def advance_together(self, caches: Sequence[list[int]], token_ids: Sequence[int]) -> Any:
        if self.broken_at in token_ids:
            raise RuntimeError("not enough memory")
        self.together.append(len(caches))
        return np.stack(
            [self.advance(cache, [token]) for cache, token in zip(caches, token_ids, strict=True)]
        )

    def release(self, cache: list[int], token_ids: Sequence[int]) -> None:
        self.released.append((cache, list(token_ids)))


@dataclass
class Caller:
    """A sink that keeps what it gets, and leaves after so many chunks."""

    patience: int = 1_000
    chunks: list[Chunk] = field(default_factory=list)
    failure: str | None = None

    def cancelled(self) -> bool:
        return len(self.chunks) >= self.patience

    def send(self, chunk: Chunk) -> None:
        assert not self.is_done, "nothing comes after the last chunk"
        self.chunks.append(chunk)

    def fail(self, reason: str) -> None:
        assert not self.is_done
        self.failure = reason

    @property
    def is_done(self) -> bool:
        return self.failure is not None or any(chunk.finish_reason for chunk in self.chunks)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)


def new_engine(model: CountingModel, **changes: Any) -> Engine:
    return Engine(model, VOCABULARY, frozenset({END}), clock=lambda: 0.0, new_seed=lambda: 1, **changes)


def run(engine: Engine, *callers: Caller, turns: int = 500) -> int:
    for turn in range(turns):
        if all(caller.is_done for caller in callers):
            return turn
        engine.turn()
    raise AssertionError("it does not end")


def test_the_first_token_goes_alone_and_the_others_in_fours() -> None:
    caller, engine = Caller(), new_engine(CountingModel())
    engine.submit([ord("a")], GenerationOptions(max_tokens=10), caller)
    run(engine, caller)
    assert [chunk.text for chunk in caller.chunks] == ["b", "cdef", "ghij", "k"]
    assert [chunk.finish_reason for chunk in caller.chunks] == [None, None, None, "length"]


@pytest.mark.parametrize(
    ("waiting", "first", "since_s", "ready"),
    [
        pytest.param(1, True, 0.0, True, id="the first token does not wait"),
        pytest.param(0, True, 9.0, False, id="nothing is not sent"),
        pytest.param(1, False, 9.0, False, id="one token waits for a second"),
        pytest.param(2, False, 0.03, True, id="two go after 20 ms"),
        pytest.param(3, False, 0.01, False, id="three wait while it is fast"),
        pytest.param(4, False, 0.0, True, id="four go at once"),
    ],
)
def test_tokens_are_grouped(waiting: int, first: bool, since_s: float, ready: bool) -> None:
    assert is_group_ready(waiting, first, since_s) == ready


def test_the_end_token_ends_without_text() -> None:
    caller, engine = Caller(), new_engine(CountingModel())
    engine.submit([125], GenerationOptions(max_tokens=10), caller)
    run(engine, caller)
    assert (caller.text, caller.chunks[-1].finish_reason) == ("~\x7f", "stop")
    assert [token for chunk in caller.chunks for token in chunk.token_ids] == [126, 127, 0]


def test_a_stop_string_ends_before_itself() -> None:
    caller, engine = Caller(), new_engine(CountingModel())
    engine.submit([ord("a")], GenerationOptions(max_tokens=20, stop=("gh",)), caller)
    run(engine, caller)
    assert (caller.text, caller.chunks[-1].finish_reason) == ("bcdef", "stop")


def test_half_a_character_at_the_end_becomes_a_replacement() -> None:
    half = "é".encode()[:1]
    caller = Caller()
    engine = Engine(CountingModel(), [half] * 128, frozenset(), clock=lambda: 0.0, new_seed=lambda: 1)
    engine.submit([1], GenerationOptions(max_tokens=1), caller)
    run(engine, caller)
    assert caller.text == "\ufffd"


def test_a_long_prompt_is_read_in_pieces_while_others_go_on() -> None:
    model, long, short = CountingModel(), Caller(), Caller()
    engine = new_engine(model, prompt_piece=4)
    engine.submit(list(range(1, 13)), GenerationOptions(max_tokens=1), long)
    engine.submit([1], GenerationOptions(max_tokens=2), short)
    run(engine, long, short)
    assert model.fed == [[1, 2, 3, 4], [1], [2], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert short.is_done
    assert long.chunks[0].token_ids == (13,)


def test_the_tokens_of_a_turn_are_computed_in_one_pass() -> None:
    model, callers = CountingModel(), [Caller() for _ in range(3)]
    engine = new_engine(model)
    for size, caller in enumerate(callers, start=2):
        engine.submit([1] * size, GenerationOptions(max_tokens=size), caller)
    run(engine, *callers)
    assert model.together == [3, 2, 1]  # the first token of each comes of its prompt


def test_a_request_beyond_the_places_waits_for_one() -> None:
    first, second, engine = Caller(), Caller(), new_engine(CountingModel(), max_running=1)
    engine.submit([1], GenerationOptions(max_tokens=3), first)
    engine.submit([1], GenerationOptions(max_tokens=3), second)
    engine.turn()
    engine.turn()
    assert not second.chunks
    run(engine, first, second)
    assert first.text == second.text


def test_a_cancelled_request_stops_before_its_next_token() -> None:
    model, leaver, engine = CountingModel(), Caller(patience=2), new_engine(CountingModel())
    engine = new_engine(model)
    engine.submit([1], GenerationOptions(max_tokens=60), leaver)
    run(engine, leaver)
    assert leaver.chunks[-1].finish_reason == "cancelled"
    assert engine.counters.tokens == 5  # one, then four: the group after which it left
    assert (engine.counters.cancelled, engine.counters.wasted_tokens) == (1, 5)
    assert model.released == [([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])]


def test_a_request_cancelled_while_it_waits_costs_nothing() -> None:
    model = CountingModel()
    gone, engine = Caller(patience=0), new_engine(model)
    engine.submit([1], GenerationOptions(max_tokens=60), gone)
    run(engine, gone)
    assert model.fed == []


def test_a_failure_of_the_model_is_told_to_the_one_who_asked_and_nobody_else() -> None:
    unlucky, other, engine = Caller(), Caller(), new_engine(CountingModel(broken_at=50))
    engine.submit([48], GenerationOptions(max_tokens=9), unlucky)
    engine.submit([60], GenerationOptions(max_tokens=9), other)
    run(engine, unlucky, other)
    assert unlucky.failure == "the model failed: not enough memory"
    assert unlucky.text == "1"
    assert other.text == "=>?@ABCDE"


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "reason"),
    [
        pytest.param([], 1, "empty", id="no prompt"),
        pytest.param([1] * 64, 1, "context of 64", id="prompt and answer exceed the context"),
        pytest.param([128], 1, "vocabulary of 128", id="an id above the vocabulary"),
        pytest.param([-1], 1, "vocabulary", id="a negative id"),
    ],
)
def test_what_cannot_be_answered_is_refused_at_once(prompt: list[int], max_tokens: int, reason: str) -> None:
    caller, engine = Caller(), new_engine(CountingModel())
    engine.submit(prompt, GenerationOptions(max_tokens=max_tokens), caller)
    assert caller.failure is not None
    assert reason in caller.failure


def test_a_kept_cache_is_not_fed_again() -> None:
    model, caller = CountingModel(reused=3), Caller()
    engine = new_engine(model)
    engine.submit([1, 2, 3, 4, 5], GenerationOptions(max_tokens=1), caller)
    run(engine, caller)
    assert model.fed == [[4, 5]]
    assert engine.counters.reused_prompt_tokens == 3


def test_the_engine_ends_when_closed_and_fails_what_is_left() -> None:
    engine = new_engine(CountingModel())
    thread = threading.Thread(target=engine.run)
    thread.start()
    done = Caller()
    engine.submit([1], GenerationOptions(max_tokens=1), done)
    while not done.is_done:
        thread.join(0.001)
    engine.close()
    thread.join(5)
    assert not thread.is_alive()
    late = Caller()
    engine.submit([1], GenerationOptions(max_tokens=1), late)
    engine.run()
    assert late.failure == "the engine stops"


REQUESTS = st.lists(
    st.tuples(st.lists(st.integers(1, 127), min_size=1, max_size=20), st.integers(1, 40), st.integers(0, 6)),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@given(REQUESTS, st.integers(1, 4), st.integers(1, 8))
def test_whoever_shares_the_engine_the_text_is_the_same(
    requests: list[tuple[list[int], int, int]], max_running: int, prompt_piece: int
) -> None:
    def ask(together: bool) -> list[str]:
        engine = new_engine(CountingModel(), max_running=max_running, prompt_piece=prompt_piece)
        callers = []
        for prompt, max_tokens, seed in requests:
            caller = Caller()
            callers.append(caller)
            engine.submit(
                prompt,
                GenerationOptions(max_tokens=max_tokens, temperature=0.7 * (seed > 3), seed=seed),
                caller,
            )
            if not together:
                run(engine, caller)
        run(engine, *callers)
        assert all(sum(len(chunk.token_ids) for chunk in caller.chunks) <= 40 for caller in callers)
        return [caller.text for caller in callers]

    assert ask(together=True) == ask(together=False)


@given(st.text(), st.lists(st.integers(0, 1 << 20)).map(tuple), st.sampled_from([None, "stop", "length"]))
def test_a_chunk_arrives_as_it_was_sent(text: str, token_ids: tuple[int, ...], reason: Any) -> None:
    chunk = Chunk(text, token_ids, reason, text or None)
    assert decode_chunk(encode_chunk(chunk)) == chunk


def test_a_chunk_of_an_engine_that_names_no_stop_string_is_read() -> None:
    """While a deployment is renewed, engines before a gateway are older than it."""
    assert decode_chunk(b'{"text": "", "token_ids": [1], "finish_reason": "stop"}') == Chunk("", (1,), "stop")


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "reason", "stop"),
    [
        pytest.param("a", 10, "stop", "de", id="a stop string"),
        pytest.param("e", 3, "length", None, id="the limit"),
        pytest.param("\x7e", 10, "stop", None, id="the model's own end"),
        pytest.param("b", 3, "stop", "de", id="a stop string with the last token"),
    ],
)
def test_the_last_chunk_names_the_stop_string_that_ended_the_text(
    prompt: str, max_tokens: int, reason: str, stop: str | None
) -> None:
    caller, engine = Caller(), new_engine(CountingModel())
    engine.submit([ord(prompt)], GenerationOptions(max_tokens=max_tokens, stop=("xyz", "de")), caller)
    run(engine, caller)
    assert (caller.chunks[-1].finish_reason, caller.chunks[-1].stop) == (reason, stop)
    assert not any(chunk.stop for chunk in caller.chunks[:-1])


@given(st.lists(st.integers(0, 2), max_size=8), st.lists(st.integers(0, 2), max_size=8))
def test_the_common_start_is_common_and_no_longer(first: list[int], second: list[int]) -> None:
    length = common_start(first, second)
    assert first[:length] == second[:length]
    assert first[length : length + 1] != second[length : length + 1] or length == min(len(first), len(second))
