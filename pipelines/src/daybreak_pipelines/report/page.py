"""The page that a run ends with: what came in, what became of it, how good it is, what a real run needs.

Owns what is shown and in which words (pure); ``page.html.jinja`` has the order, ``daybreak_contracts.report`` the
look, and ``local.run`` gathers the values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import steps
from daybreak_contracts.report import page, plots
from daybreak_pipelines import estimate
from daybreak_pipelines.plan import STEPS, TITLES
from daybreak_pipelines.report.planned import PlannedRow
from daybreak_pipelines.report.planner import Need

TEMPLATE = "page.html.jinja"
MOST_REASONS = 14
MOST_SCORES = 4
SCORE_TITLES = {"humaneval/pass@1": "HumanEval pass@1", "held-out/next-line-exact": "next line exact"}
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
class TransformedExample:
    """A text as the objective laid it out."""

    layout: str
    """Its first special tokens; empty for text as it is."""
    parts: Sequence[tuple[str, bool]]
    """Text, and whether the model was to predict it."""


@dataclass(frozen=True)
class Generation:
    """What the model wrote for one held-out prompt after a step, and what stood there."""

    step: int
    prompt: str
    suffix: str
    text: str
    expected: str


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
    findings: Sequence[tuple[int, str]]
    """Training tokens before a step that the guard found out of line, and what it says of it."""
    examples: Sequence[TransformedExample]
    completions: Sequence[Completion]
    seconds: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    cached: frozenset[str]
    needs: Sequence[Need]
    links: Mapping[str, str]
    """Title to a path relative to the page."""
    machine: str
    generations: Sequence[Generation] = ()
    planned: Sequence[PlannedRow] = ()
    """What was planned of the training, as it was, how far off."""


def build(values: Values) -> str:
    """Return the page."""
    languages = _largest(values.documents.languages)
    return page.render(
        "daybreak_pipelines.report",
        TEMPLATE,
        title=values.name,
        summary=_summary(values),
        tiles=_tiles(values),
        funnel=_funnel(values),
        languages=[(name, size, f"{size / 1e6:.1f} MB") for name, size in languages],
        training=_training(values),
        mixture=_mixture(values.shards),
        planned=values.planned,
        loss=plots.curve(values.ledger, "training tokens", "loss, nats per token", values.findings),
        findings=[said for _, said in values.findings],
        examples=values.examples,
        scores=values.evaluated.scores,
        failed_gates=values.evaluated.failed_gates,
        small=values.trained.num_parameters < TOO_SMALL,
        completions=values.completions,
        generations=_by_prompt(values.generations),
        needs=values.needs,
        in_words=estimate.in_words,
        steps=_steps(values),
        links=values.links,
        machine=values.machine,
    )


def files_read(documents: steps.DocumentsResult) -> int:
    """Return how many files were taken in: all but those that ``maxBytes`` left out."""
    return documents.num_files - documents.dropped.get(SAMPLED_OUT, 0)


def read_ledger(data: bytes) -> list[dict[str, Any]]:
    """Return the entries of a training ledger (JSON lines), a step each."""
    return [json.loads(line) for line in data.splitlines()]


def losses(entries: Sequence[Mapping[str, Any]]) -> list[tuple[int, float]]:
    """Return (tokens seen so far, loss) of each step whose loss is a number."""
    return [(int(entry["tokens"]), float(entry["loss"])) for entry in entries if entry["loss"] is not None]


def findings(entries: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """Return (tokens seen so far, sentence) of each step that the guard found out of line."""
    return [(int(entry["tokens"]), _finding(entry["guard"])) for entry in entries if "guard" in entry]


def _finding(event: Mapping[str, Any]) -> str:
    loss = "not finite" if event["loss"] is None else f"{event['loss']:.2f}"
    documents = ", ".join(event["documents"][:3])
    return f"step {event['step']}: {event['finding']}, loss {loss}, {event['action']}" + (
        f" ({documents})" if documents else ""
    )


def read_examples(entries: Sequence[Mapping[str, Any]]) -> list[TransformedExample]:
    """Return what ``examples.json`` of a train artifact holds."""
    return [
        TransformedExample(entry["layout"], [(part["text"], part["isTarget"]) for part in entry["parts"]])
        for entry in entries
    ]


def generations(entries: Sequence[Mapping[str, Any]]) -> list[Generation]:
    """Return what the model wrote at each look at held-out data."""
    return [
        Generation(step=int(entry["step"]), **found)
        for entry in entries
        for found in entry.get("generations", ())
    ]


def _by_prompt(generations: Sequence[Generation]) -> list[list[Generation]]:
    """Return for each prompt what was written to it, earliest first: the same prompts are asked at each look."""
    found: dict[tuple[str, str], list[Generation]] = {}
    for one in generations:
        found.setdefault((one.prompt, one.suffix), []).append(one)
    return list(found.values())


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
    return text


def _tiles(values: Values) -> list[tuple[str, str, str]]:
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
            f"nats per token; {values.trained.tokens_per_second:,.0f} tokens/s",
        ),
    ]
    tiles += [
        (
            SCORE_TITLES.get(item.metric, item.metric.replace("/", " ")),
            f"{100 * item.value:.1f} %",
            f"{100 * item.low:.1f} to {100 * item.high:.1f} %, n={item.num_tasks}",
        )
        for item in first_scores(values.evaluated.scores)
    ]
    if values.completions:
        fastest = min(item.seconds for item in values.completions)
        tiles.append(("completion", f"{1000 * fastest:.0f} ms", "through gateway and Triton"))
    return tiles


def first_scores(scores: Sequence[steps.Score]) -> list[steps.Score]:
    """Return the first score of each suite, which is over all its languages."""
    firsts: dict[str, steps.Score] = {}
    for item in scores:
        firsts.setdefault(item.metric.partition("/")[0], item)
    return list(firsts.values())[:MOST_SCORES]


def _funnel(values: Values) -> list[tuple[str, float, str]]:
    rows = [("kept", float(values.documents.num_documents), f"{values.documents.num_documents:,}")]
    dropped = {reason: count for reason, count in values.documents.dropped.items() if reason != SAMPLED_OUT}
    largest = _largest(dropped, MOST_REASONS)
    rows += [(reason, float(count), f"{count:,}") for reason, count in largest]
    others = sum(dropped.values()) - sum(count for _, count in largest)
    if others:
        rows.append(("other reasons", float(others), f"{others:,}"))
    return rows


def _training(values: Values) -> dict[str, str]:
    trained = values.trained
    by_time = "ended by time: how far it comes hangs on the machine"
    ended = "ended by its length" if trained.stopped_by == "Tokens" else by_time
    rows = {
        "size": f"{values.size}: {trained.num_parameters:,} parameters",
        "vocabulary": f"{values.tokenizer.vocabulary_size:,} tokens",
        "trained on": f"{trained.tokens:,} tokens in {trained.steps:,} steps; {ended}",
        "schedule": (
            f"{trained.batch_tokens:,} tokens a step, peak rate {trained.peak_rate:g} after a warm-up of "
            f"{trained.warmup_tokens:,} tokens"
        ),
        "loss": f"{trained.loss:.3f} (last 20 steps), {trained.held_out_loss:.3f} on held-out code",
        "speed": f"{trained.tokens_per_second:,.0f} tokens per second",
        "memory": f"{trained.peak_memory_bytes / 1e9:.1f} GB at most",
    }
    if trained.continued_from:
        rows["went on from"] = f"a shorter run's checkpoint before its decay, {trained.continued_from}"
    return rows


def _mixture(shards: steps.ShardResult) -> list[tuple[str, str, str, str, str]]:
    """Return for each source and language what the mixture asked for and what came of it."""
    total = max(1, shards.num_train_tokens)
    return [
        (
            f"{share.kind} {share.name}",
            f"{share.asked_epochs:g}",
            f"{share.epochs:g}",
            f"{share.tokens / 1e6:,.1f} million",
            f"{100 * share.tokens / total:.1f} %",
        )
        for share in shards.mixture
    ]


def _steps(values: Values) -> list[tuple[str, str, str]]:
    rows = []
    for step in (step for step in STEPS if step in values.seconds):
        how = "nothing changed" if step in values.cached else estimate.in_words(values.seconds[step])
        peak = values.peak_bytes.get(step, 0)
        rows.append((TITLES[step], how, f"{peak / 1e9:.1f} GB" if peak else ""))
    rows.append(("Whole run", estimate.in_words(sum(values.seconds.values())), ""))
    return rows
