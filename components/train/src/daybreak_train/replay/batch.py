"""One recorded step as a person reads it: samples, documents, their text, what the objective made of it, losses.

Owns these values and how they become JSON and lines; gathers nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHOWN_DOCUMENTS = 3
SHOWN_SAMPLES = 10


@dataclass(frozen=True)
class ReplayedPart:
    """The part of a document that lies in a sample."""

    source: str
    repository: str
    path: str
    language: str
    offset: int
    """Byte of the document's text in UTF-8, as the documents step left it, at which the part begins."""
    line: int
    """Line of the document, from 1, in which it begins."""
    text: str

    @property
    def name(self) -> str:
        """Source, repository and path in one."""
        return "/".join(filter(None, (self.source, self.repository, self.path)))


@dataclass(frozen=True)
class ReplayedSample:
    """One sample of a batch."""

    sample: int
    rank: int
    documents: tuple[ReplayedPart, ...]
    transformed: str
    """What the model saw: the objective's work as text, special tokens by their names."""
    loss: float
    """Mean over its predicted tokens, in nats."""
    tokens: int
    """Predicted tokens."""


@dataclass(frozen=True)
class RecomputedStep:
    """The step made again from a checkpoint, beside what the ledger says."""

    from_step: int
    """Of the checkpoint; 0 is the beginning."""
    steps: int
    """How many were made again."""
    identical_steps: int
    """Of those, how many have loss and gradient norm equal to the last bit."""
    loss: float | None
    grad_norm: float | None
    identical: bool
    """Whether those of the step itself are."""
    differences: tuple[str, ...]
    """What is another than when the step was made."""

    @property
    def sentence(self) -> str:
        """The finding in words."""
        begun = f"the checkpoint after step {self.from_step}" if self.from_step else "the beginning"
        text = f"recomputed {self.steps} step{'s' if self.steps > 1 else ''} from {begun}: "
        if self.identical:
            text += "loss and gradient norm of the step are bit-identical to the ledger"
        else:
            text += f"NOT bit-identical: loss {self.loss!r}, gradient norm {self.grad_norm!r}"
        text += f" ({self.identical_steps} of {self.steps} steps are identical)"
        if self.differences:
            text += f"; {'may differ' if not self.identical else 'although'}: {', '.join(self.differences)}"
        return text


@dataclass(frozen=True)
class ReplayedStep:
    """A step of a run, taken apart."""

    run: str
    step: int
    epoch: int
    ledger: dict[str, Any]
    """The step's entry, without its sample ids."""
    digest_matches: bool
    """Whether the batch made again has the digest that the ledger recorded: the same samples, token for token."""
    whole: bool
    """False when only one rank's share was asked for."""
    weights: str
    """Whose losses these are."""
    exact_weights: bool
    """Whether they are the weights that the step itself began with."""
    samples: tuple[ReplayedSample, ...]
    """The worst first."""
    recomputed: RecomputedStep | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything."""
        found = asdict(self)
        if self.recomputed is not None:
            found["recomputed"]["sentence"] = self.recomputed.sentence
        return found


def worst_first(samples: Sequence[ReplayedSample]) -> tuple[ReplayedSample, ...]:
    """Return samples by falling loss; a loss that is no number is the worst of all."""
    return tuple(sorted(samples, key=lambda one: (not math.isnan(one.loss), -one.loss, one.sample)))


def lines_of(found: ReplayedStep, most: int = SHOWN_SAMPLES) -> list[str]:
    """Return what the command prints: the batch, the worst samples, how to see the rest."""
    entry = found.ledger
    if not found.whole:
        same = "was not compared (one rank's share)"
    else:
        same = "is the recorded one, token for token" if found.digest_matches else "is NOT the recorded one"
    numbers = f"loss {entry['loss']}, gradient norm {entry['grad_norm']}, rate {entry['lr']}"
    lines = [
        f"step {found.step} of {found.run}, epoch {found.epoch}: {numbers}",
        f"{len(found.samples)} samples; the batch made again {same}",
        f"losses by {found.weights}",
    ]
    if found.recomputed is not None:
        lines.append(found.recomputed.sentence)
    for one in found.samples[:most]:
        lines.append(f"  sample {one.sample}, rank {one.rank}: loss {one.loss:.3f} over {one.tokens} tokens")
        lines += [
            f"    {part.name}, line {part.line} (byte {part.offset})"
            for part in one.documents[:SHOWN_DOCUMENTS]
        ]
        if len(one.documents) > SHOWN_DOCUMENTS:
            lines.append(f"    and {len(one.documents) - SHOWN_DOCUMENTS} more documents")
    if len(found.samples) > most:
        lines.append(f"  and {len(found.samples) - most} more (--json has all, with their text)")
    return lines
