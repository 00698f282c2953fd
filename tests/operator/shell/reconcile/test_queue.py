"""The work queue: nothing is lost, nothing is worked at twice at once, failures wait longer and longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daybreak_contracts.list_watch import BackOff
from daybreak_operator.shell.reconcile.queue import NUM_QUICK_REPEATS, Done, Schedule, WorkQueue
from daybreak_operator.shell.watches.keys import ObjectKey, Priority

A, B, C = (ObjectKey("TrainingRun", "here", name) for name in "abc")
KEYS = st.sampled_from([A, B, C])


def schedule(chance: float = 1.0) -> Schedule:
    return Schedule(lambda: chance, BackOff(1.0, 60.0))


class TestOrder:
    def test_first_come_first_served_and_twice_is_once(self) -> None:
        queue = schedule()
        for key in (A, B, A):
            queue.add(key, 0.0)
        assert [queue.take(1.0), queue.take(1.0), queue.take(1.0)] == [A, B, None]

    def test_what_changes_while_it_is_worked_at_is_seen_again_afterwards(self) -> None:
        queue = schedule()
        queue.add(A, 0.0)
        queue.take(0.0)
        queue.add(A, 1.0)
        assert queue.take(1.0) is None
        queue.done(A, Done(), 2.0)
        assert queue.take(2.0) == A

    def test_a_key_is_due_at_the_earliest_of_its_times(self) -> None:
        queue = schedule()
        queue.add_at(A, 9.0)
        queue.add_at(A, 5.0)
        queue.add_at(A, 7.0)
        assert (queue.take(4.9), queue.next_due()) == (None, 5.0)
        assert queue.take(5.0) == A
        queue.done(A, Done(), 5.0)
        assert (queue.take(10.0), queue.next_due()) == (None, None)

    def test_an_event_comes_before_a_planned_look(self) -> None:
        queue = schedule()
        queue.add_at(A, 9.0)
        queue.add(A, 1.0)
        assert queue.take(1.0) == A
        queue.done(A, Done(requeue_after_s=5.0), 2.0)
        assert queue.next_due() == 7.0

    def test_what_is_forgotten_is_not_seen_again(self) -> None:
        queue = schedule()
        queue.add(A, 0.0)
        queue.add_at(B, 1.0)
        queue.forget(A)
        queue.forget(B)
        assert (queue.take(2.0), queue.depth(), queue.next_due()) == (None, 0, None)

    def test_its_age_is_that_of_the_longest_wait_or_pass(self) -> None:
        queue = schedule()
        assert queue.age_s(5.0) == 0.0
        queue.add(A, 5.0)
        queue.add(B, 6.0)
        assert queue.age_s(9.0) == 4.0
        queue.take(9.0)
        assert queue.age_s(10.0) == 4.0
        queue.take(10.0)
        assert queue.age_s(12.0) == 3.0

    def test_much_to_do_is_no_standstill(self) -> None:
        queue = schedule()
        for key in (A, B, C):
            queue.add(key, 0.0)
        queue.take(0.0)
        assert queue.without_progress_s(100.0) == 100.0
        queue.done(A, Done(), 100.0)
        assert (queue.age_s(110.0), queue.without_progress_s(110.0)) == (110.0, 10.0)
        for key in (B, C):
            queue.take(110.0)
            queue.done(key, Done(), 110.0)
        assert queue.without_progress_s(500.0) == 0.0


class TestFailures:
    def test_wait_twice_as_long_each_time_until_one_succeeds(self) -> None:
        queue = schedule()
        now, waits = 0.0, []
        queue.add(A, now)
        for failed in (True, True, True, False, True):
            assert queue.take(now) == A
            queue.done(A, Done(failed=failed), now)
            if not failed:
                queue.add(A, now)
                continue
            waits.append((queue.next_due() or 0.0) - now)
            now = queue.next_due() or 0.0
        assert waits == [1.0, 2.0, 4.0, 1.0]

    def test_the_api_servers_wish_is_a_lower_bound(self) -> None:
        queue = schedule()
        queue.add(A, 0.0)
        queue.take(0.0)
        queue.done(A, Done(failed=True, retry_after_s=30.0), 0.0)
        assert queue.next_due() == 30.0

    def test_what_never_settles_is_slowed_down(self) -> None:
        queue = schedule()
        queue.add(A, 0.0)
        for _ in range(NUM_QUICK_REPEATS):
            assert queue.take(0.0) == A
            queue.done(A, Done(again=True), 0.0)
        assert queue.take(0.0) == A
        queue.done(A, Done(again=True), 0.0)
        assert (queue.take(0.0), queue.next_due()) == (None, 1.0)

    @given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
    def test_the_delay_lies_between_half_and_all_of_the_step(self, attempt: int, chance: float) -> None:
        delay = BackOff(0.5, 60.0).delay_s(attempt, chance)
        whole = min(60.0, 0.5 * 2.0 ** min(attempt - 1, 30))
        assert whole / 2 <= delay <= whole


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: each cause is followed by a look that began after it."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = schedule()
        self.now = 0.0
        self.active: set[ObjectKey] = set()
        self.owed: set[ObjectKey] = set()

    @rule(key=KEYS, priority=st.sampled_from(Priority))
    def happens(self, key: ObjectKey, priority: Priority) -> None:
        self.queue.add(key, self.now, priority)
        self.owed.add(key)

    @rule(key=KEYS, later=st.floats(0, 100))
    def is_planned(self, key: ObjectKey, later: float) -> None:
        self.queue.add_at(key, self.now + later)
        self.owed.add(key)

    @rule(seconds=st.floats(0, 50))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_worker_takes(self) -> None:
        key = self.queue.take(self.now)
        if key is not None:
            assert key not in self.active
            self.active.add(key)
            self.owed.discard(key)

    @precondition(lambda self: bool(self.active))
    @rule(data=st.data(), failed=st.booleans(), again=st.booleans(), look=st.none() | st.floats(0, 100))
    def a_worker_ends(self, data: Any, failed: bool, again: bool, look: float | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        self.active.remove(key)
        self.queue.done(key, Done(failed, again, look), self.now)
        if failed or again or look is not None:
            self.owed.add(key)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.queue.num_active() == len(self.active)
        assert self.queue.age_s(self.now) >= 0.0

    def teardown(self) -> None:
        for key in sorted(self.active):
            self.queue.done(key, Done(), self.now)
        seen = set()
        while (key := self.queue.take(self.now + 1e6)) is not None:
            seen.add(key)
        assert self.owed <= seen


TestAnyOrder = AnyOrder.TestCase


class TestWorkers:
    async def run(self, keys: list[ObjectKey], num_workers: int, work: Any) -> None:
        queue = WorkQueue(schedule(), asyncio.get_running_loop().time)
        for key in keys:
            queue.add(key)
        task = asyncio.create_task(queue.work(work, num_workers))
        await asyncio.wait([task], timeout=0.05)
        task.cancel()
        await asyncio.wait([task])
        assert queue.schedule.num_active() == 0

    async def test_no_more_work_at_once_than_allowed(self) -> None:
        busy, most = 0, 0

        async def work(key: ObjectKey) -> Done:
            nonlocal busy, most
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0.001)
            busy -= 1
            return Done()

        await self.run([ObjectKey("TrainingRun", "here", str(number)) for number in range(9)], 3, work)
        assert most == 3

    async def test_planned_looks_happen(self) -> None:
        seen: list[ObjectKey] = []

        async def work(key: ObjectKey) -> Done:
            seen.append(key)
            return Done(requeue_after_s=0.001)

        await self.run([A], 1, work)
        assert len(seen) > 2


@pytest.mark.parametrize("outcome", [Done(failed=True), Done(again=True), Done(requeue_after_s=1.0)])
async def test_a_pass_that_is_cancelled_is_made_up_for(outcome: Done) -> None:
    queue = WorkQueue(schedule(), lambda: 0.0)
    queue.add(A)

    async def work(key: ObjectKey) -> Done:
        await asyncio.Event().wait()
        return outcome

    task = asyncio.create_task(queue.work(work, 1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert queue.schedule.next_due() is not None
