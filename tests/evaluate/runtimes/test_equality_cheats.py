"""An answer says neither what is equal nor when a test is over; the right answer beside it passes."""

from __future__ import annotations

import pytest

from tests.evaluate.runtimes.play import judge
from tests.evaluate.runtimes.plays.more import equality, expected, same_process, unseen

PLAYS = {**equality.PLAYS, **expected.PLAYS, **same_process.PLAYS, **unseen.PLAYS}
pytestmark = [pytest.mark.needs("compilers"), pytest.mark.xdist_group("runtimes")]


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_only_the_right_answer_passes(name: str) -> None:
    play = PLAYS[name]
    verdicts = judge(play.task, {"right": play.right, **play.cheats})
    assert [each for each, verdict in verdicts.items() if verdict.passed] == ["right"], {
        each: verdict.result for each, verdict in verdicts.items()
    }
