"""Limits of time: the candidate's own time counts, the machine's does not."""

from __future__ import annotations

import pytest

from daybreak_evaluate.judge.clock import Spent


@pytest.mark.parametrize(
    ("spent", "over", "doubtful"),
    [
        pytest.param(Spent(1.0, 0.9, 0.0), False, False, id="busy for a second of three"),
        pytest.param(Spent(3.1, 3.0, 0.0), True, False, id="busy for all of it"),
        pytest.param(Spent(18.0, 2.9, 15.0), False, False, id="busy for less on a machine shared by six"),
        pytest.param(Spent(18.0, 3.0, 15.0), True, False, id="busy for all of it on a machine shared by six"),
        pytest.param(Spent(3.5, 0.0, 0.0), False, False, id="asleep, a little over"),
        pytest.param(Spent(4.1, 0.0, 0.0), True, False, id="asleep for longer than that"),
        pytest.param(
            Spent(8.0, 0.5, 2.0), True, True, id="asleep or held up, on a busy machine: judged again"
        ),
        pytest.param(
            Spent(8.0, 0.5, None), False, False, id="kernel does not tell, the limit is four times as long"
        ),
        pytest.param(Spent(17.0, 0.5, None), True, True, id="kernel does not tell, over: judged again"),
        pytest.param(Spent(71.0, 0.5, 70.0), True, True, id="the machine stands still"),
    ],
)
def test_limit_of_three_seconds(spent: Spent, over: bool, doubtful: bool) -> None:
    assert spent.is_over(3.0) is over
    assert (spent.is_over(3.0) and spent.is_doubtful(3.0)) is doubtful
