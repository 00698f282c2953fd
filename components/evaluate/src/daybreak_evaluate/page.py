"""``scores.html``: one page with scores, intervals, protocol and samples.

Owns what is shown; ``scores.html.jinja`` has the order, ``daybreak_contracts.report`` the look.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_contracts.report import page
from daybreak_contracts.steps import Score

TEMPLATE = "scores.html.jinja"
MAX_EXAMPLES = 12
"""Samples shown of each suite: those that passed first, then others."""
MAX_TEXT = 1200


def render(
    scores: Sequence[Score],
    protocols: Mapping[str, Mapping[str, Any]],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    model: Mapping[str, Any],
) -> str:
    """Return the page; equal arguments give equal bytes."""
    suites = [
        {"name": suite, "protocol": _as_text(protocol), **_examples(samples.get(suite, ()))}
        for suite, protocol in protocols.items()
    ]
    return page.render(
        "daybreak_evaluate",
        TEMPLATE,
        title="Scores",
        scores=scores,
        model=_as_text(model),
        suites=suites,
        max_text=MAX_TEXT,
    )


def _as_text(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in values.items()
    }


def _examples(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    passed = [sample for sample in samples if sample["passed"]]
    others = [sample for sample in samples if not sample["passed"]]
    shown = passed[: max(MAX_EXAMPLES // 2, MAX_EXAMPLES - len(others))]
    shown += others[: MAX_EXAMPLES - len(shown)]
    return {"count": len(samples), "passed": len(passed), "shown": shown}
