"""Of two trainings that write the same checkpoints in a bucket one goes on, and the other says who does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybreak_contracts import storage
from daybreak_contracts.errors import DaybreakError, TransientError, UserError
from daybreak_train import places
from daybreak_train.checkpoints import ownership
from daybreak_train.checkpoints.ownership import BEAT_S, PATIENCE_S, SILENCE_S, Owner, Waiting, WriterMark

HERE, THERE = Owner("first-light", "uid-here"), Owner("first-light", "uid-there")


@dataclass
class Hours:
    """Time that passes only when somebody sleeps; what happens meanwhile is said by the moment."""

    happens: Callable[[float], None] = lambda _: None
    now_s: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds
        self.happens(self.now_s)

    def waiting(self) -> Waiting:
        return Waiting(lambda: self.now_s, self.sleep)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in object storage that lies in memory; a real server's is in `test_checkpoints.py`."""
    files: dict[str, Any] = {}

    def read(uri: str) -> Any:
        if uri not in files:
            raise UserError(f"{uri}: not found")
        return files[uri]

    monkeypatch.setattr(storage, "read_json", read)
    monkeypatch.setattr(storage, "write_json", files.__setitem__)
    monkeypatch.setattr(storage, "exists", files.__contains__)
    monkeypatch.setattr(storage, "remove_file", lambda uri: files.pop(uri, None))
    return "s3://store/checkpoints"


def beats_until(mark: WriterMark, end_s: float) -> Callable[[float], None]:
    """The other training is alive until then."""

    def happens(now: float) -> None:
        if now % BEAT_S == 0 and now <= end_s:
            mark.beat()

    return happens


def mark_in(bucket: str) -> WriterMark:
    mark = ownership.take(bucket, HERE, Hours().waiting())
    assert mark is not None
    return mark


def test_another_runs_training_that_lives_has_the_one_that_came_later_stop_for_good(bucket: str) -> None:
    mark = mark_in(bucket)
    hours = Hours(beats_until(mark, 1e9))
    with pytest.raises(UserError) as said:
        ownership.take(bucket, THERE, hours.waiting())
    text = str(said.value)
    assert "first-light (uid uid-here)" in text
    assert "stops for good" in text
    assert "another spec.output.uri or spec.seed" in text
    assert PATIENCE_S <= hours.now_s < 300, "the operator's own patience is longer"
    mark.check()


def test_another_runs_training_that_is_gone_is_taken_over(bucket: str) -> None:
    mark_in(bucket)
    hours = Hours()
    assert ownership.take(bucket, THERE, hours.waiting()) is not None
    assert hours.now_s == SILENCE_S


@pytest.mark.parametrize("end_s", [40.0, 180.0, 200.0])
def test_another_runs_training_that_ends_meanwhile_is_taken_over(bucket: str, end_s: float) -> None:
    """One whose pod was told to stop, and saves."""
    mark = mark_in(bucket)
    hours = Hours(beats_until(mark, end_s))
    taken = ownership.take(bucket, THERE, hours.waiting())
    assert taken is not None
    assert hours.now_s <= end_s + SILENCE_S + 5
    with pytest.raises(UserError, match=r"uid-there\), took these checkpoints over .* stops for good"):
        mark.check()
    taken.check()


def test_a_training_that_ends_in_order_makes_nobody_wait(bucket: str) -> None:
    mark_in(bucket).release()
    hours = Hours()
    ownership.take(bucket, THERE, hours.waiting())
    assert hours.slept == []


def test_a_later_attempt_of_the_same_run_waits_for_nobody(bucket: str) -> None:
    earlier = mark_in(bucket)
    hours = Hours()
    later = ownership.take(bucket, HERE, hours.waiting())
    assert later is not None
    assert hours.slept == []
    with pytest.raises(TransientError, match="a training that began later, of first-light"):
        earlier.check()
    earlier.beat()
    earlier.release()
    later.check()
    assert storage.read_json(storage.join(bucket, places.WRITER))["runUid"] == "uid-here"


def test_a_mark_of_an_earlier_version_is_taken_over_at_once(bucket: str) -> None:
    storage.write_json(storage.join(bucket, places.WRITER), {"writer": "abc", "runName": "old"})
    hours = Hours()
    assert ownership.take(bucket, THERE, hours.waiting()) is not None
    assert hours.slept == []


def test_on_a_disk_there_is_no_mark(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert ownership.take(str(tmp_path_factory.mktemp("disk")), HERE) is None


MOVES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["take", "beat", "check", "release"])), max_size=24
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_whatever_they_do_in_whatever_order_the_last_to_take_is_never_stopped(
    bucket: str, moves: list[tuple[int, str]]
) -> None:
    """Three runs, of which none waits (a silence that each believes): one at least can always go on."""
    storage.remove_file(storage.join(bucket, places.WRITER))
    owners = [Owner("same", f"uid-{number}") for number in range(3)]
    marks: dict[int, WriterMark] = {}
    holder: int | None = None
    for number, move in moves:
        if move == "take" and number not in marks:
            marks[number] = WriterMark(bucket, owners[number])
            holder = number
        elif number in marks and move == "beat":
            marks[number].beat()
            holder = number if holder is None else holder
        elif number in marks and move == "release":
            marks.pop(number).release()
            holder = None if holder == number else holder
        elif number in marks and move == "check":
            try:
                marks[number].check()
            except DaybreakError:
                assert number != holder
                assert holder is not None
                marks.pop(number)
