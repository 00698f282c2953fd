"""What the guard found and did, as it is written down: in the ledger, beside the checkpoints, in a sentence.

Owns the shape and the words. Reads and writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from daybreak_train.guard.detector import Finding, Judgement, Reading

Action = Literal["Alert", "Skip", "Rewind", "Accept", "Stop"]
"""Alert: told. Skip: its update was dropped. Rewind: back to a checkpoint, updates left out. Accept: the window begins
anew at the new level. Stop: the training ended."""
NAMED_SAMPLES = 8
NAMED_DOCUMENTS = 3
_WORDS: Mapping[Finding, str] = {
    "NonFinite": "loss or gradient norm is not finite",
    "LossSpike": "the loss spiked",
    "GradientSpike": "the gradient norm spiked",
    "LossRising": "the loss has been rising",
}
_CONSEQUENCES: Mapping[Action, str] = {
    "Alert": "training went on",
    "Skip": "its update was dropped",
    "Rewind": "went back to a checkpoint from before",
    "Accept": "so did the steps before it: taken as the new level",
    "Stop": "training stopped",
}
REASONS: Mapping[tuple[Finding, Action], str] = {
    ("NonFinite", "Skip"): "NonFinite",
    ("NonFinite", "Stop"): "NonFinite",
    ("LossRising", "Alert"): "LossRising",
}


@dataclass(frozen=True)
class GuardEvent:
    """One finding. Equal for an undisturbed training and for one that was killed and resumed."""

    step: int
    """From 1."""
    finding: Finding
    action: Action
    left_out: tuple[int, ...]
    """Steps whose updates are not made, because of this."""
    loss: float | None
    """None where it is not finite."""
    grad_norm: float | None
    loss_height: float
    """Over what was expected."""
    grad_height: float
    samples: tuple[int, ...]
    """Ids of the step's samples, over all ranks."""
    documents: tuple[str, ...] = ()
    """Source, repository and path of the documents in them."""

    @property
    def reason(self) -> str:
        """One word in CamelCase for a condition."""
        kind = {"Alert": "Alert", "Skip": "Skipped", "Rewind": "Rewound", "Accept": "Accepted"}
        said = "Gradient" if self.finding == "GradientSpike" else ""
        return REASONS.get((self.finding, self.action)) or f"{said}Spike{kind.get(self.action, 'Stopped')}"

    @property
    def sentence(self) -> str:
        """What a person reads: step, finding, consequence, samples, documents."""
        return (
            f"step {self.step}: {_WORDS[self.finding]} ({self._figures()}); {_CONSEQUENCES[self.action]}"
            f"{self._left_out()}; samples {_listed(self.samples, NAMED_SAMPLES)}"
            + (f", of {_listed(self.documents, NAMED_DOCUMENTS)}" if self.documents else "")
        )

    def _figures(self) -> str:
        loss = "not finite" if self.loss is None else f"{self.loss:.3f}"
        norm = "not finite" if self.grad_norm is None else f"{self.grad_norm:.3g}"
        if self.finding == "NonFinite":
            return f"loss {loss}, gradient norm {norm}"
        return (
            f"loss {loss}, {self.loss_height:.2f} times what was expected; "
            f"gradient norm {norm}, {self.grad_height:.1f} times"
        )

    def _left_out(self) -> str:
        if self.action != "Rewind":
            return ""
        return f", the updates of steps {self.left_out[0]} to {self.left_out[-1]} are left out"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON, with names as in the ledger."""
        return {
            "step": self.step,
            "finding": self.finding,
            "action": self.action,
            "left_out": list(self.left_out),
            "loss": self.loss,
            "grad_norm": self.grad_norm,
            "loss_height": self.loss_height,
            "grad_height": self.grad_height,
            "samples": list(self.samples),
            "documents": list(self.documents),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> GuardEvent:
        """Return what ``to_json`` wrote; anything else is a ValueError or KeyError."""
        if stored["finding"] not in get_args(Finding) or stored["action"] not in get_args(Action):
            raise ValueError(f"unknown event {stored['finding']} {stored['action']}")
        return cls(
            step=int(stored["step"]),
            finding=cast(Finding, stored["finding"]),
            action=cast(Action, stored["action"]),
            left_out=tuple(stored["left_out"]),
            loss=stored["loss"],
            grad_norm=stored["grad_norm"],
            loss_height=float(stored["loss_height"]),
            grad_height=float(stored["grad_height"]),
            samples=tuple(stored["samples"]),
            documents=tuple(stored["documents"]),
        )


def event_of(
    step: int, reading: Reading, judgement: Judgement, action: Action, left_out: Sequence[int]
) -> GuardEvent:
    """Return the event of a step, without its samples."""
    assert judgement.finding is not None
    return GuardEvent(
        step=step,
        finding=judgement.finding,
        action=action,
        left_out=tuple(left_out),
        loss=finite(reading.loss),
        grad_norm=finite(reading.grad_norm),
        loss_height=round(judgement.loss_height, 4),
        grad_height=round(judgement.grad_height, 4),
        samples=(),
    )


def finite(value: float) -> float | None:
    """Return a value that JSON can hold; None for NaN and the infinities."""
    return value if math.isfinite(value) else None


def _listed(items: Sequence[object], most: int) -> str:
    said = ", ".join(str(item) for item in items[:most])
    return f"{said} and {len(items) - most} more" if len(items) > most else said
