"""A recorded step taken apart: what ``daybreak replay`` asks for.

Owns the order of the work: find the run, make the batch again, say whose documents it holds, measure each sample.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from daybreak_contracts import names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts import shards as layout
from daybreak_model.token_rows import TokenRows
from daybreak_model.vocabulary import token_bytes
from daybreak_train import run_key
from daybreak_train.recompute.locate import RecordedTraining, input_uri
from daybreak_train.replay.batch import (
    RecomputedStep,
    ReplayedPart,
    ReplayedSample,
    ReplayedStep,
    worst_first,
)
from daybreak_train.replay.documents import DocumentPart, documents_of

if TYPE_CHECKING:
    from torch import Tensor

    from daybreak_train.loop.run import Run
    from daybreak_train.model import Llama


@dataclass(frozen=True)
class ReplayRequest:
    """Which step, and how much of it."""

    step: int
    rank: int | None = None
    recompute: bool = False


def run_replay(training: RecordedTraining, request: ReplayRequest) -> ReplayedStep:
    """Return the step. One that the run does not have, or shards that are gone, is a UserError."""
    entry = training.entry(request.step)
    shares = training.shares(request.step)
    if request.rank is not None and not 0 <= request.rank < len(shares):
        raise UserError(f"rank {request.rank}: the step was made by {len(shares)} processes, from rank 0 on")
    wanted = [
        (rank, sample)
        for rank, share in enumerate(shares)
        if request.rank in (None, rank)
        for sample in share
    ]
    if not wanted:
        raise UserError(f"rank {request.rank}: had no sample of step {request.step}")
    return _take_apart(request, training, dict(entry), wanted)


def _take_apart(
    request: ReplayRequest,
    training: RecordedTraining,
    entry: dict[str, Any],
    wanted: list[tuple[int, int]],
) -> ReplayedStep:
    from daybreak_train.loop.data_loading import Collator, batch_digest
    from daybreak_train.loop.run import run_of

    record = training.record
    args = record.args
    shards = input_uri(training, args.shards, names.STEP_SHARDS)
    tokenizer = input_uri(training, args.tokenizer, names.STEP_TOKENIZER)
    moved = args.model_copy(update={"shards": shards, "tokenizer": tokenizer})
    manifests = run_key.read_manifests(moved)
    # by the numbers that were recorded: what lies in the output today says nothing of a run that was made before
    key = replace(run_key.key_with(moved, manifests, record.hyperparameters), digest=record.digest)
    run = run_of(moved, manifests, key)
    rows = TokenRows(storage.join(shards, layout.TRAIN))
    epoch = int(entry["epoch"])
    batch = Collator(run.objective(), run.sample_shape)(
        [{"tokens": rows[sample], "sample_id": sample, "epoch": epoch} for _, sample in wanted]
    )
    measured = _measure(request, training, run, batch)
    texts = _Texts(str(run.inputs.tokenizer.to_str()), rows, run.sample_shape.pad_id)
    documents = documents_of(shards, (sample for _, sample in wanted))
    samples = [
        ReplayedSample(
            sample=sample,
            rank=rank,
            documents=tuple(texts.part(sample, part) for part in documents[sample]),
            transformed=texts.of(row.tolist()),
            loss=loss,
            tokens=tokens,
        )
        for (rank, sample), row, (loss, tokens) in zip(wanted, batch["tokens"], measured.losses, strict=True)
    ]
    digest = batch_digest(batch["sample_ids"].numpy(), batch["digests"].numpy())
    return ReplayedStep(
        run=args.run_name,
        step=request.step,
        epoch=epoch,
        ledger={name: value for name, value in entry.items() if name != "samples"},
        digest_matches=digest == entry["batch_digest"],
        whole=len(wanted) == sum(len(share) for share in training.shares(request.step)),
        weights=measured.weights,
        exact_weights=measured.exact,
        samples=worst_first(samples),
        recomputed=measured.recomputed,
    )


@dataclass(frozen=True)
class _Measured:
    """Losses of a batch's samples, and by which weights."""

    losses: list[tuple[float, int]]
    weights: str
    exact: bool
    recomputed: RecomputedStep | None = None


def _measure(
    request: ReplayRequest, training: RecordedTraining, run: Run, batch: Mapping[str, Tensor]
) -> _Measured:
    from daybreak_train.recompute.losses import nearest_weights, sample_losses

    if not request.recompute:
        llama, weights, exact = nearest_weights(training, run, request.step)
        return _Measured(sample_losses(llama, batch), weights, exact)
    from daybreak_train.recompute.forward import recompute

    losses: list[tuple[float, int]] = []

    def look(llama: Llama) -> None:
        losses.extend(sample_losses(llama, batch))

    recomputed = recompute(training, run, request.step, look)
    return _Measured(losses, "the weights that the step began with", exact=True, recomputed=recomputed)


class _Texts:
    """Tokens as text; what comes before a part of a document says at which byte and line it begins."""

    def __init__(self, tokenizer_json: str, rows: TokenRows, pad_id: int) -> None:
        self._table = token_bytes(tokenizer_json, special_as_text=True)
        self._row, self._pad_id = functools.cache(rows.__getitem__), pad_id
        self._before = functools.cache(self._bytes_before)

    def of(self, ids: list[int]) -> str:
        """Return the text; padding at the end is left out, a character that a sample's edge cuts is replaced."""
        while ids and ids[-1] == self._pad_id:
            ids = ids[:-1]
        return self._bytes(ids).decode(errors="replace")

    def part(self, sample: int, part: DocumentPart) -> ReplayedPart:
        """Return the part of a document that lies in a sample."""
        before = self._before(sample, part.at, part.offset)
        ids = self._row(sample)[part.at : part.at + part.length].tolist()
        if part.offset + part.length == part.document_length:
            ids = ids[:-1]  # the token that ends it
        return ReplayedPart(
            source=part.source,
            repository=part.repository,
            path=part.path,
            language=part.language,
            offset=len(before),
            line=before.count(b"\n") + 1,
            text=self._bytes(ids).decode(errors="replace"),
        )

    def _bytes_before(self, sample: int, at: int, offset: int) -> bytes:
        """Return the document's bytes before a part: its samples lie one behind another in a partition."""
        pieces: list[bytes] = []
        while offset > 0:
            sample, end = (sample, at) if at else (sample - 1, len(self._row(sample - 1)))
            at = max(0, end - offset)
            pieces.append(self._bytes(self._row(sample)[at:end].tolist()))
            offset -= end - at
        return b"".join(reversed(pieces))

    def _bytes(self, ids: list[int]) -> bytes:
        return b"".join(self._table[token] for token in ids)
