"""Who goes before whom in the queue, and that nobody is starved: poison, endless changes, looks that nothing caused."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.list_watch import BackOff
from daybreak_operator.shell.reconcile.queue import HEAD_START_S, Done, Pace, Schedule, WorkQueue
from daybreak_operator.shell.watches.keys import ObjectKey, Priority

A, B, C = (ObjectKey("TrainingRun", "here", name) for name in "abc")


def schedule() -> Schedule:
    return Schedule(lambda: 1.0, BackOff(1.0, 60.0))


class TestOrder:
    @pytest.mark.parametrize(
        ("earlier", "later", "by_s", "first"),
        [
            pytest.param(Priority.LATER, Priority.CHANGED, 29.0, B, id="a-change-29-s-after-later-work"),
            pytest.param(Priority.REQUEUE, Priority.CHANGED, 31.0, A, id="a-requeue-31-s-before-a-change"),
            pytest.param(
                Priority.EVENT, Priority.CHANGED, 9.0, B, id="a-change-before-a-childs-event-of-9-s-earlier"
            ),
            pytest.param(
                Priority.EVENT,
                Priority.NEW,
                11.0,
                A,
                id="a-childs-event-that-waited-11-s-longer-than-a-new-object",
            ),
            pytest.param(
                Priority.REQUEUE, Priority.EVENT, 19.0, B, id="an-event-before-a-look-of-19-s-earlier"
            ),
            pytest.param(Priority.NEW, Priority.CHANGED, 0.1, A, id="new-and-changed-are-equals"),
            pytest.param(
                Priority.CHANGED, Priority.CHANGED, 0.1, A, id="first-come-first-served-among-equals"
            ),
        ],
    )
    def test_who_goes_first(self, earlier: Priority, later: Priority, by_s: float, first: ObjectKey) -> None:
        queue = schedule()
        queue.add(A, 0.0, earlier)
        queue.add(B, by_s, later)
        assert queue.take(by_s) == first

    def test_a_better_reason_brings_a_key_forward_and_a_worse_one_does_not_put_it_back(self) -> None:
        queue = schedule()
        for key in (A, B, C):
            queue.add(key, 0.0, Priority.LATER)
        queue.add(C, 1.0, Priority.CHANGED)
        queue.add(C, 2.0, Priority.LATER)
        assert (queue.depth(), queue.age_s(5.0)) == (3, 5.0)
        assert [queue.take(5.0) for _ in range(4)] == [C, A, B, None]

    def test_children_of_a_new_object_come_after_all_other_new_ones_were_acknowledged(self) -> None:
        queue = schedule()
        for key in (A, B):
            queue.add(key, 0.0, Priority.NEW)
        assert queue.take(0.0) == A
        queue.done(A, Done(again=True), 1.0)
        queue.add(C, 2.0, Priority.NEW)
        assert [queue.take(2.0) for _ in range(3)] == [B, C, A]

    def test_what_changes_while_it_is_worked_at_keeps_its_reason(self) -> None:
        queue = schedule()
        queue.add(A, 0.0, Priority.REQUEUE)
        queue.take(0.0)
        queue.add(A, 1.0, Priority.CHANGED)
        queue.add(A, 1.0, Priority.REQUEUE)
        queue.add(B, 0.5, Priority.EVENT)
        queue.done(A, Done(), 2.0)
        assert queue.take(2.0) == A


class TestPace:
    """Looks that nothing caused are bounded in number; whatever happened is not."""

    def play(
        self, num_keys: int, every_s: float, seconds: float, per_s: float = 40.0
    ) -> list[tuple[float, ObjectKey]]:
        """One worker that is never busy for long; return when it looked at whom."""
        queue, now = Schedule(lambda: 1.0, pace=Pace(per_s)), 0.0
        looks = []
        for number in range(num_keys):
            queue.add_at(ObjectKey("ModelDeployment", "here", str(number)), every_s * number / num_keys)
        while (due := queue.next_due()) is not None and due <= seconds:
            now = max(now, due)
            while (key := queue.take(now)) is not None:
                looks.append((now, key))
                queue.done(key, Done(requeue_after_s=every_s), now)
        return looks

    @pytest.mark.parametrize(
        ("num_keys", "every_s", "seconds"),
        [
            pytest.param(1, 5.0, 5.0, id="one-object-is-looked-at-when-it-wants-to-be"),
            pytest.param(150, 5.0, 5.0, id="a-hundred-and-fifty-too"),
            pytest.param(1000, 30.0, 30.0, id="a-thousand-too-that-want-it-twice-a-minute"),
            pytest.param(1000, 5.0, 25.0, id="a-thousand-that-want-it-every-5-s-are-looked-at-every-25-s"),
        ],
    )
    def test_each_is_looked_at_every_so_many_seconds(
        self, num_keys: int, every_s: float, seconds: float
    ) -> None:
        last: dict[ObjectKey, float] = {}
        gaps = []
        for at, key in self.play(num_keys, every_s, 120.0):
            if at > 40.0:
                gaps.append(at - last[key])
            last[key] = at
        assert len(last) == num_keys
        assert min(gaps) >= seconds - 1.1
        assert max(gaps) <= seconds + 1.1

    @given(st.integers(1, 300), st.floats(0.5, 10.0), st.sampled_from([10.0, 40.0]))
    @settings(max_examples=20)
    def test_never_more_in_any_stretch_of_time_than_the_pace_and_one_second_of_it(
        self, num_keys: int, every_s: float, per_s: float
    ) -> None:
        times = [at for at, _ in self.play(num_keys, every_s, 20.0, per_s)]
        for begin in range(0, len(times), 7):
            for end in range(begin, len(times), 7):
                assert end - begin <= per_s * (times[end] - times[begin] + 1.0) + 1.0

    def test_a_change_does_not_wait_for_the_pace(self) -> None:
        queue = Schedule(lambda: 1.0, pace=Pace(1.0))
        for key in (A, B, C):
            queue.add(key, 0.0, Priority.REQUEUE)
        assert [queue.take(0.0), queue.take(0.0), queue.take(0.0)] == [A, B, None]
        assert (queue.next_due(), queue.depth(), queue.age_s(0.5)) == (1.0, 0, 0.5)
        queue.add(C, 0.5, Priority.CHANGED)
        assert (queue.take(0.5), queue.next_due()) == (C, None)

    async def test_a_worker_wakes_up_when_the_pace_allows_it(self) -> None:
        seen: list[ObjectKey] = []
        queue = WorkQueue(Schedule(lambda: 1.0, pace=Pace(20.0)), asyncio.get_running_loop().time)

        async def work(key: ObjectKey) -> Done:
            seen.append(key)
            if len(seen) == 60:
                raise EnoughError
            return Done()

        for number in range(60):
            queue.add(ObjectKey("TrainingRun", "here", str(number)), Priority.REQUEUE)
        with pytest.raises(ExceptionGroup):
            await asyncio.wait_for(queue.work(work, 4), 60)
        assert len(seen) == 60


class EnoughError(Exception):
    """Ends a play."""


class TestPoison:
    """Objects that are queued again and again, however that comes about, hold up nobody's change."""

    @pytest.mark.parametrize(
        "outcome",
        [
            pytest.param(Done(failed=True), id="one-that-always-fails"),
            pytest.param(Done(again=True), id="one-that-always-writes"),
            pytest.param(Done(requeue_after_s=0.001), id="one-that-always-wants-a-look"),
            pytest.param(None, id="one-that-an-event-meets-during-every-pass"),
        ],
    )
    def test_a_change_waits_for_at_most_one_pass(self, outcome: Done | None) -> None:
        queue, now, waits = schedule(), 0.0, []
        bad = [ObjectKey("TrainingRun", "here", f"bad-{number}") for number in range(20)]
        for key in bad:
            queue.add(key, now)
        changed: dict[ObjectKey, float] = {}
        for number in range(400):
            if number % 4 == 0:
                good = ObjectKey("TrainingRun", "here", f"good-{number}")
                changed[good] = now
                queue.add(good, now, Priority.CHANGED)
            key = queue.take(now)
            if key in changed:
                waits.append(now - changed.pop(key))
            now += 0.1  # one worker, and each pass takes so long
            if key is None:
                continue
            if outcome is None and key in bad:
                queue.add(key, now)
            queue.done(key, outcome or Done() if key in bad else Done(), now)
        assert len(waits) == 100
        assert max(waits) <= 0.1

    def test_it_comes_to_its_turn_itself_while_others_change_without_end(self) -> None:
        queue, now, looked = schedule(), 0.0, 0
        queue.add(A, now, Priority.REQUEUE)
        for number in range(1000):
            queue.add(ObjectKey("TrainingRun", "here", str(number)), now, Priority.CHANGED)
            key = queue.take(now)
            now += 0.1
            if key is not None:
                looked += key == A
                queue.done(key, Done(requeue_after_s=1.0 if key == A else None), now)
        assert looked >= 3


@given(st.lists(st.tuples(st.sampled_from(Priority), st.floats(0.0, 5.0)), min_size=1, max_size=60))
def test_nobody_waits_longer_than_what_came_before_it_and_the_head_start_of_others(
    arrivals: list[tuple[Priority, float]],
) -> None:
    queue, now, came = schedule(), 0.0, {}
    for number, (priority, pause) in enumerate(arrivals):
        now += pause
        key = ObjectKey("TrainingRun", "here", str(number))
        came[key] = (now, priority)
        queue.add(key, now, priority)
    taken = [queue.take(now) for _ in arrivals]
    assert set(taken) == set(came)
    places = {key: place for place, key in enumerate(taken)}
    for one, (at, priority) in came.items():
        for other, (later, others_priority) in came.items():
            if later - at > HEAD_START_S[others_priority] - HEAD_START_S[priority] + 1e-6 and other != one:
                assert places[one] < places[other]
