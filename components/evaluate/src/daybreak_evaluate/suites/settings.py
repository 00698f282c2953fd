"""What a suite is told besides its own settings in the manifest: the run's seed, room for text, places.

Owns plain values; a plug-in's factory gets these and the manifest's ``Suite``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from daybreak_evaluate.journal import ResultJournal
from daybreak_model.repository_context import FileMarks


class TextModel(Protocol):
    """What a suite may ask of a loaded model besides completions."""

    context_length: int
    end_of_text: int
    pad: int
    marks: FileMarks | None

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""


@dataclass(frozen=True)
class SuiteContext:
    """One evaluation, as its suites see it."""

    seed: int
    max_new_tokens: int
    max_prompt_tokens: int
    context_length: int
    """Tokens that the model sees, prompt and completion together."""
    workers: int
    """Candidates that run at a time; 0 means as many as the machine carries."""
    work_dir: str
    """A local folder where what costs time may be kept; it may be gone the next time."""
    in_repository: bool = False
    """Whether the model was trained on repositories in one piece."""
    held_out: Callable[[], Path] | None = None
    """Where the run's held-out rows lie, once they are asked for."""
    verdicts: ResultJournal | None = None
    """Keeps verdicts as they come, for an evaluation that may be killed; None keeps none."""
    model: Callable[[], TextModel] | None = None
    """The model, loaded when it is first asked for: metrics and self-tests come before it."""
