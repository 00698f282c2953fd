"""The command ``daybreak forget``: says who holds the documents, and with ``--yes`` takes them out.

Owns the order: the take-back list first, so that no run brings them in again, then the record of what is to be done,
then shards, documents and ingest, then the record of what was done. The same command again goes on where it stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Exclusion
from daybreak_pipelines.forget import deployments, holders, journal
from daybreak_pipelines.forget.holders import SAID, ForgetTarget, HolderEntry
from daybreak_pipelines.forget.lineage import CHECKPOINTS, FoundArtifact, derived, find_artifacts
from daybreak_pipelines.local.runner import exclusive

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    rule: Exclusion
    dry_run: bool
    yes: bool
    kubeconfig: str | None


@dataclass(frozen=True)
class _RunHolders:
    """What one of the named places holds; ``output`` is None for a model folder that stands alone."""

    output: str | None
    entries: list[HolderEntry]
    copies: int


def rule_of(rows: Mapping[str, Sequence[str]]) -> Exclusion:
    """Return the rule of these fields of ``data.exclude``; one that names nothing is a UserError."""
    if not any(rows.values()):
        raise UserError("name what to forget: --repository, --owner, --path or --document-id")
    try:
        return Exclusion.model_validate({name: sorted(set(values)) for name, values in rows.items()})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{first['input']}: {first['msg']}") from error


def forget(runs: Sequence[str], request: Request, now: Callable[[], str], say: Say) -> int:
    """Say who holds the documents, take them out when asked to, and return the exit code."""
    places = [find_artifacts(run) for run in dict.fromkeys(runs)]
    with contextlib.ExitStack() as stack:
        for output, _ in places:
            stack.enter_context(_alone(output, request.dry_run))
        found = [one for _, some in places for one in some]
        target = holders.target_of(request.rule, found)
        runs_holding = _gathered(places, request.rule, target)
        models = {
            one.digest for some in runs_holding for one in some.entries if one.step == names.STEP_EXPORT
        }
        serving, not_asked = deployments.serving(models, request.kubeconfig) if models else ([], "")
        _tell(runs_holding, serving, not_asked, say)
        if request.dry_run:
            return 0
        if not request.yes:
            raise UserError(
                "nothing was done: --yes takes the documents out as listed, --dry-run only lists them"
            )
        _take_out(runs_holding, request.rule, target, (serving, not_asked), now)
    say(
        "done: later runs of these outputs leave the documents out; other outputs need these rows in data.exclude:"
    )
    say(_rows(request.rule))
    return 0


@contextlib.contextmanager
def _alone(output: str | None, dry_run: bool) -> Iterator[None]:
    """Keep runs of this machine away from an output while it is mended."""
    if output is None or dry_run or storage.is_remote(output):
        yield
        return
    with exclusive(Path(storage.local_path(output)) / ".work"):
        yield


def _gathered(
    places: Sequence[tuple[str | None, list[FoundArtifact]]], rule: Exclusion, target: ForgetTarget
) -> list[_RunHolders]:
    """Return what each place holds; what one run's data went into may lie in another's output."""
    from daybreak_data.documents.forgotten import as_rows

    begun = [None if output is None else journal.read(output, as_rows(rule)) for output, _ in places]
    known = [list(record.holders) if record else [] for record in begun]
    found = [holders.direct(some, target) for _, some in places]
    mended = [one for some in [*known, *found] for one in some if one.is_mended]
    made = derived([one for _, some in places for one in some], {one.digest for one in mended})
    told = []
    for (output, some), before, direct in zip(places, known, found, strict=True):
        further = [
            HolderEntry(one.step, one.uri, one.digest)
            for one in made
            if one in some and one.step not in holders.MENDED
        ]
        told.append(
            _RunHolders(output, journal.joined(before, [*direct, *further]), holders.copies(some, target))
        )
    return told


def _tell(told: Sequence[_RunHolders], serving: Sequence[str], not_asked: str, say: Say) -> None:
    for run in told:
        say(f"{run.output or 'model folder'}:" if run.entries else f"{run.output}: holds nothing of it")
        for one in run.entries:
            counted = f", {one.documents:,} documents" if one.documents else ""
            counted += f", {one.tokens:,} tokens" if one.tokens else ""
            say(f"  {one.step} {journal.relative(run.output, one.uri)}{counted}: {SAID[one.step]}")
        if run.copies:
            say(
                f"  note: {run.copies:,} files of it were dropped as copies of documents from elsewhere that stay: "
                "name those, too, if their text must go"
            )
    for name in serving:
        say(f"deployment {name}: serves a model that was trained on it")
    if not_asked:
        say(f"deployments: not asked ({not_asked}); name a cluster by --kubeconfig")


def _take_out(
    told: Sequence[_RunHolders],
    rule: Exclusion,
    target: ForgetTarget,
    asked: tuple[Sequence[str], str],
    now: Callable[[], str],
) -> None:
    from daybreak_data.documents import forgotten

    rows = forgotten.as_rows(rule)
    records = []
    for run in told:
        known = None if run.output is None else journal.read(run.output, rows)
        record = journal.ForgottenRecord(
            rule=rows,
            begun=known.begun if known else now(),
            copies=max(run.copies, known.copies if known else 0),
            holders=tuple(run.entries),
            deployments=tuple(asked[0]),
            not_asked=asked[1],
        )
        records.append(record)
        if run.output is not None:
            forgotten.add(run.output, rule)
            journal.write(run.output, record)
    for step in holders.MENDED:  # of all outputs: one's shards may be made of another's documents
        records = [_mended(record, step, target) for record in records]
    for run, record in zip(told, records, strict=True):
        _conclude(run.output, record, now)


def _mended(record: journal.ForgottenRecord, step: str, target: ForgetTarget) -> journal.ForgottenRecord:
    entries = [holders.mend(one, target) if one.step == step else one for one in record.holders]
    return record.model_copy(update={"holders": tuple(entries)})


def _conclude(output: str | None, record: journal.ForgottenRecord, now: Callable[[], str]) -> None:
    """Say it beside the models, clear copies, and write what was done."""
    for one in record.holders:
        if one.step in (names.STEP_TRAIN, names.STEP_EXPORT, CHECKPOINTS):
            journal.note(one, record.rule, record.begun)
    if output is not None:
        holders.clear(output, record.holders)
        journal.write(output, record.model_copy(update={"ended": now()}))


def _rows(rule: Exclusion) -> str:
    """Return the rule as it stands in a manifest."""
    from daybreak_data.documents.forgotten import as_rows

    inner = ", ".join(f"{key}: [{', '.join(map(repr, value))}]" for key, value in as_rows(rule).items())
    return f"  exclude: {{{inner}}}"
