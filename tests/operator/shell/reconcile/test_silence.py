"""For how long something has not changed: by the operator's clock alone."""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.shell.reconcile.silence import Silence
from daybreak_operator.shell.watches.keys import ObjectKey

ONE, OTHER = (ObjectKey(names.KIND_RUN, "here", name) for name in ("one", "other"))


def test_a_sign_counts_from_when_it_was_first_seen() -> None:
    now = [100.0]
    silence = Silence(lambda: now[0])
    assert silence.seconds(ONE, "metrics", (1, 5, -600.0)) == 0.0
    now[0] += 30
    assert silence.seconds(ONE, "metrics", (1, 5, -600.0)) == 30.0
    assert silence.seconds(ONE, "report", "a") == 0.0, "another way"
    assert silence.seconds(OTHER, "metrics", (1, 5, -600.0)) == 0.0, "another object"
    now[0] += 30
    assert silence.seconds(ONE, "metrics", (1, 6, -599.0)) == 0.0, "news"
    assert silence.seconds(ONE, "metrics", None) is None
    assert silence.seconds(ONE, "metrics", (1, 6, -599.0)) == 0.0, "it fell silent and came back"
    now[0] += 5
    silence.drop(ONE)
    assert silence.seconds(ONE, "report", "a") == 0.0
