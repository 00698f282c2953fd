"""The page that a run ends with: what came in, what became of it, how good it is, what a real run needs.

Builds HTML from values (pure); gathering them is ``report_values``. No script, no external resource: the page can
be mailed. Every text that came from outside is escaped.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from daybreak_contracts import steps
from daybreak_pipelines import estimate
from daybreak_pipelines.plan import STEPS, TITLES
from daybreak_pipelines.report.charts import bars, curve
from daybreak_pipelines.report.planner import Need

TEMPLATE = Path(__file__).with_name("report.html")
MOST_REASONS = 14
SAMPLED_OUT = "sample"
TOO_SMALL = 100_000_000
"""Below this many parameters no public model solves a tenth of HumanEval (SantaCoder, 1.1 billion: 18 %)."""


@dataclass(frozen=True)
class Completion:
    """One question to the served model and its answer."""

    prompt: str
    suffix: str
    text: str
    seconds: float
    tokens: int


@dataclass(frozen=True)
class Values:
    """Everything that the page shows."""

    name: str
    documents: steps.DocumentsResult
    read_bytes: int
    """Of the files that were opened; a sample leaves the others alone."""
    tokenizer: steps.TokenizerResult
    shards: steps.ShardResult
    trained: steps.TrainResult
    exported: steps.ExportResult
    evaluated: steps.EvaluateResult
    size: str
    ledger: Sequence[tuple[int, float]]
    """Training tokens seen so far, loss in nats per token."""
    completions: Sequence[Completion]
    seconds: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    cached: frozenset[str]
    needs: Sequence[Need]
    links: Mapping[str, str]
    """Title to a path relative to the page."""
    machine: str


def build(values: Values) -> str:
    """Return the page."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=html.escape(values.name),
        summary=_summary(values),
        tiles=_tiles(values),
        funnel=_funnel(values),
        languages=bars(
            [
                (name, size / 1e6, f"{size / 1e6:.1f} MB")
                for name, size in _largest(values.documents.languages)
            ]
        ),
        loss=curve(values.ledger, "training tokens", "loss, nats per token"),
        training=_training(values),
        scores=_scores(values),
        completions="".join(_completion(item) for item in values.completions)
        or "<p>Serving was not tried.</p>",
        needs=_needs(values.needs),
        steps=_steps(values),
        links=" · ".join(
            f'<a href="{html.escape(path)}">{html.escape(title)}</a>' for title, path in values.links.items()
        ),
        machine=html.escape(values.machine),
    )


def files_read(documents: steps.DocumentsResult) -> int:
    """Return how many files were taken in: all but those that ``maxBytes`` left out."""
    return documents.num_files - documents.dropped.get(SAMPLED_OUT, 0)


def read_ledger(lines: Sequence[str]) -> list[tuple[int, float]]:
    """Return (tokens seen so far, loss) of each step of a training ledger (JSON lines)."""
    entries = (json.loads(line) for line in lines)
    return [(int(entry["tokens"]), float(entry["loss"])) for entry in entries]


def _largest(sizes: Mapping[str, int], count: int = 8) -> list[tuple[str, int]]:
    return sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:count]


def _summary(values: Values) -> str:
    documents, trained = values.documents, values.trained
    text = (
        f"{values.read_bytes / 1e6:.0f} MB of source code in {files_read(documents):,} files became "
        f"{documents.num_documents:,} clean documents ({documents.document_bytes / 1e6:.0f} MB), "
        f"{values.shards.num_train_tokens / 1e6:.1f} million training tokens, and a model of "
        f"{trained.num_parameters / 1e6:.1f} million parameters that saw {trained.tokens / 1e6:.1f} million of them."
    )
    if values.evaluated.failed_gates:
        text += " It did not pass its gates, so it is not published."
    elif values.completions:
        text += " Triton serves it."
    return html.escape(text)


def _tiles(values: Values) -> str:
    score = {item.metric: item for item in values.evaluated.scores}
    tiles = [
        ("code in", f"{values.read_bytes / 1e6:.0f} MB", f"{files_read(values.documents):,} files"),
        (
            "code kept",
            f"{values.documents.document_bytes / 1e6:.0f} MB",
            f"{values.documents.num_documents:,} documents",
        ),
        (
            "held-out loss",
            f"{values.trained.held_out_loss:.2f}",
            f"nats a token; {values.trained.tokens_per_second:,.0f} tokens/s",
        ),
    ]
    for metric, title in (
        ("humaneval/pass@1", "HumanEval pass@1"),
        ("held-out/next-line-exact", "next line exact"),
    ):
        if metric in score:
            item = score[metric]
            tiles.append(
                (
                    title,
                    f"{100 * item.value:.1f} %",
                    f"{100 * item.low:.1f} to {100 * item.high:.1f} %, n={item.num_tasks}",
                )
            )
    if values.completions:
        fastest = min(item.seconds for item in values.completions)
        tiles.append(("completion", f"{1000 * fastest:.0f} ms", "through gateway and Triton"))
    return "".join(
        f"<div class=tile><b>{html.escape(value)}</b><span>{html.escape(title)}</span>"
        f"<small>{html.escape(note)}</small></div>"
        for title, value, note in tiles
    )


def _funnel(values: Values) -> str:
    rows = [("kept", float(values.documents.num_documents), f"{values.documents.num_documents:,}")]
    dropped = {reason: count for reason, count in values.documents.dropped.items() if reason != SAMPLED_OUT}
    largest = _largest(dropped, MOST_REASONS)
    rows += [(reason, float(count), f"{count:,}") for reason, count in largest]
    others = sum(dropped.values()) - sum(count for _, count in largest)
    if others:
        rows.append(("other reasons", float(others), f"{others:,}"))
    return bars(rows)


def _training(values: Values) -> str:
    trained = values.trained
    rows = {
        "size": f"{values.size}: {trained.num_parameters:,} parameters",
        "vocabulary": f"{values.tokenizer.vocabulary_size:,} tokens",
        "trained on": f"{trained.tokens:,} tokens in {trained.steps:,} steps, ended by {trained.stopped_by.lower()}",
        "loss": f"{trained.loss:.3f} (last 20 steps), {trained.held_out_loss:.3f} on held-out code",
        "speed": f"{trained.tokens_per_second:,.0f} tokens a second",
        "memory": f"{trained.peak_memory_bytes / 1e9:.1f} GB at most",
    }
    return _table(list(rows.items()))


def _scores(values: Values) -> str:
    head = "<tr><th>metric<th>value<th>95 % interval<th>tasks</tr>"
    rows = "".join(
        f"<tr><td>{html.escape(item.metric)}<td>{item.value:.4f}<td>{item.low:.4f} to {item.high:.4f}"
        f"<td>{item.num_tasks:,}</tr>"
        for item in values.evaluated.scores
    )
    text = "An interval is a bootstrap over tasks."
    if values.trained.num_parameters < TOO_SMALL:
        text = (
            "A model this small solves hardly any programming problem: low scores are the honest result. What they "
            "show is that every part works, judge included. " + text
        )
    gates = "".join(f"<p class=bad>{html.escape(text)}</p>" for text in values.evaluated.failed_gates)
    return f"<table>{head}{rows}</table>{gates}<p class=note>{text}</p>"


def _completion(item: Completion) -> str:
    return (
        f"<pre><span class=given>{html.escape(item.prompt)}</span><mark>{html.escape(item.text)}</mark>"
        f"<span class=given>{html.escape(item.suffix)}</span></pre>"
        f"<p class=note>{item.tokens} tokens in {1000 * item.seconds:.0f} ms</p>"
    )


def _needs(needs: Sequence[Need]) -> str:
    head = "<tr><th>size<th>tokens<th>code needed<th>one H100<th>8 H100</tr>"
    rows = "".join(
        f"<tr><td>{need.size}<td>{need.tokens / 1e9:,.1f} billion<td>{need.code_bytes / 1e9:,.0f} GB"
        f"<td>{estimate.in_words(need.one_gpu_s)}<td>{estimate.in_words(need.eight_gpus_s)}</tr>"
        for need in needs
    )
    return f"<table>{head}{rows}</table>"


def _steps(values: Values) -> str:
    rows = []
    for step in (step for step in STEPS if step in values.seconds):
        how = "nothing changed" if step in values.cached else estimate.in_words(values.seconds[step])
        peak = values.peak_bytes.get(step, 0)
        rows.append((TITLES[step], how, f"{peak / 1e9:.1f} GB" if peak else ""))
    rows.append(("Whole run", estimate.in_words(sum(values.seconds.values())), ""))
    body = "".join(f"<tr><th>{title}<td>{time}<td>{memory}</tr>" for title, time, memory in rows)
    return f"<table><tr><th>step<th>time<th>memory at most</tr>{body}</table>"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{html.escape(name)}<td>{html.escape(value)}</tr>" for name, value in rows)
    return f"<table>{body}</table>"
