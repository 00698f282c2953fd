"""``scores.html``: one page with scores, intervals, protocol and samples.

Owns what is shown; ``scores.html.jinja`` has the order, ``daybreak_contracts.report`` the look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from daybreak_contracts.report import page
from daybreak_contracts.steps import Score

TEMPLATE = "scores.html.jinja"
MAX_EXAMPLES = 6
"""Samples shown of each suite that passed, and as many that failed."""
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
    failed = [sample for sample in samples if not sample["passed"]]
    kinds = Counter(sample["kind"] for sample in failed if "result" in sample and sample.get("kind"))
    return {
        "count": len(samples),
        "num_passed": len(passed),
        "passed": _chosen(passed),
        "failed": _chosen(failed),
        "kinds": sorted(kinds.items(), key=lambda item: (-item[1], item[0])),
    }


def _chosen(samples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return a few samples, of each language and kind of failure in turn: many alike show no more than one."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for sample in samples:
        groups.setdefault((sample.get("language", ""), sample.get("kind", "")), []).append(sample)
    turns = zip_longest(*groups.values())
    return [sample for turn in turns for sample in turn if sample is not None][:MAX_EXAMPLES]
