"""An answer does not say what is equal, nor what the test's own words mean; the right answer beside it passes."""

from __future__ import annotations

import pytest

from tests.evaluate.runtimes.play import judge
from tests.evaluate.runtimes.plays.more import equality, expected

PLAYS = {**equality.PLAYS, **expected.PLAYS}
pytestmark = [pytest.mark.needs("compilers"), pytest.mark.xdist_group("runtimes")]


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_an_answer_does_not_say_what_is_equal(name: str) -> None:
    play = PLAYS[name]
    verdicts = judge(play.task, {"right": play.right, **play.cheats})
    assert [each for each, verdict in verdicts.items() if verdict.passed] == ["right"], {
        each: verdict.result for each, verdict in verdicts.items()
    }
