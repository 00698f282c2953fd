"""``scores.html``: one page with scores, intervals, protocol and samples, complete in itself.

Owns the layout. Everything that came from a model or a data set is escaped; the page loads nothing and runs nothing.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_contracts.steps import Score

MAX_EXAMPLES = 12
"""Samples shown of each suite: those that passed first, then others."""
MAX_TEXT = 1200
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2733;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #dfe5eb;
vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}
pre{background:#f4f6f8;padding:.6rem;overflow-x:auto;margin:.3rem 0;font-size:13px}
.bar{position:relative;height:.8rem;background:#edf1f5;min-width:14rem}.bar i{position:absolute;top:0;bottom:0}
.range{background:#a9c7e8}.point{width:3px;background:#14508c}
.pass{color:#1b6e3c;font-weight:600}.fail{color:#9b2c2c}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#dce4ec}pre,.bar{background:#1d2731}
td,th{border-color:#2b3947}.range{background:#2f5f8f}.point{background:#9cc9f5}.pass{color:#7fd6a2}.fail{color:#f0a3a3}}
"""


def render(
    scores: Sequence[Score],
    protocols: Mapping[str, Mapping[str, Any]],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
    model: Mapping[str, Any],
) -> str:
    """Return the page; equal arguments give equal bytes."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Scores</title><style>{STYLE}</style><h1>Scores</h1>",
        _scores(scores),
        "<p>An interval holds 95 % of 2,000 bootstrap means over tasks.</p>",
        "<h2>Model</h2>",
        _table(model),
    ]
    for suite, protocol in protocols.items():
        parts += [f"<h2>How {_text(suite)} was measured</h2>", _table(protocol)]
        parts += [f"<h2>Samples of {_text(suite)}</h2>", _examples(samples.get(suite, ()))]
    return "".join(parts) + "</html>\n"


def _text(value: Any) -> str:
    return html.escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), quote=True)


def _scores(scores: Sequence[Score]) -> str:
    rows = "".join(
        f"<tr><td>{_text(score.metric)}<td class=n>{score.value:.4f}<td class=n>{score.low:.4f} to {score.high:.4f}"
        f"<td class=n>{score.num_tasks:,}<td>{_bar(score)}"
        for score in scores
    )
    return f"<table><tr><th>metric<th>value<th>95 % interval<th>tasks<th>0 to 1{rows}</table>"


def _bar(score: Score) -> str:
    low, high, value = (100 * min(max(number, 0.0), 1.0) for number in (score.low, score.high, score.value))
    return (
        f"<div class=bar><i class=range style='left:{low:.2f}%;width:{high - low:.2f}%'></i>"
        f"<i class=point style='left:min({value:.2f}%,calc(100% - 3px))'></i></div>"
    )


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}<td>{_text(value)}" for name, value in values.items())
    return f"<table>{rows}</table>"


def _examples(samples: Sequence[Mapping[str, Any]]) -> str:
    if not samples:
        return "<p>None.</p>"
    passed = [sample for sample in samples if sample["passed"]]
    others = [sample for sample in samples if not sample["passed"]]
    half = MAX_EXAMPLES // 2
    shown = passed[: max(half, MAX_EXAMPLES - len(others))]
    shown += others[: MAX_EXAMPLES - len(shown)]
    count = f"{len(passed):,} of {len(samples):,} samples passed"
    text = f"<p>{count}; {len(shown)} are shown, all are in the artifact.</p>"
    return text + "".join(_example(sample) for sample in shown)


def _example(sample: Mapping[str, Any]) -> str:
    word = "pass" if sample["passed"] else "fail"
    verdict = sample.get("result") or ("equal" if sample["passed"] else "different")
    label = f"{sample['task_id']} {sample.get('kind', '')}".strip()
    text = f"<p><b>{_text(label)}</b> <span class={word}>{_text(_cut(str(verdict)))}</span></p>"
    text += f"<pre>{_text(_cut(sample['completion'])) or '(nothing)'}</pre>"
    if "expected" in sample:
        text += f"expected<pre>{_text(_cut(sample['expected']))}</pre>"
    return text


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " ..."
