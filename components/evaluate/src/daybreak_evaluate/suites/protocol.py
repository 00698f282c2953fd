"""What a suite is to the evaluation, and what a model is to a suite.

Owns the seams only: a suite names its metrics before any work, draws tasks, makes prompts, judges completions. A test
can put any completer in place of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from daybreak_contracts.steps import Score
from daybreak_model.repository_context import NO_SURROUNDINGS, Surroundings

Report = Callable[[str, float, float], None]
"""Progress: what goes on, how much is done, of how much."""


def ignore_progress(activity: str, done: float, total: float) -> None:
    """Take no notice of progress."""


@dataclass(frozen=True)
class Prompt:
    """One question to a model: text before the cursor and, to fill in the middle, text behind it."""

    key: str
    """Names the prompt in its suite; its randomness is drawn from this and the seed."""
    prefix: str
    suffix: str | None = None
    around: Surroundings = NO_SURROUNDINGS
    """Other files of the repository, for a model that learned with them in front."""


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    num_samples: int
    temperature: float
    """0 takes the likeliest token."""
    top_p: float
    max_new_tokens: int
    max_prompt_tokens: int
    """The prompt's nearest tokens are kept: the end of the prefix, the beginning of the suffix."""
    stop: tuple[str, ...]
    """A completion ends before the first of these."""
    seed: int


class Completer(Protocol):
    """A model as a suite sees it."""

    def complete(self, prompts: Sequence[Prompt], sampling: Sampling, report: Report) -> list[list[str]]:
        """Return ``num_samples`` completions for each prompt."""

    def surprise(self, prompts: Sequence[Prompt], answers: Sequence[str], report: Report) -> float:
        """Return the mean negative log-likelihood of the answers, in nats per token."""


@dataclass(frozen=True)
class SuiteOutcome:
    """What a suite found."""

    scores: tuple[Score, ...]
    samples: tuple[Mapping[str, Any], ...]
    """One record a completion, with ``task_id`` and ``passed``."""
    protocol: Mapping[str, Any]
    """How it was measured: all that another person needs to measure the same."""


T = TypeVar("T")


class SuitePlugin(Protocol, Generic[T]):
    """One suite, bound to its settings."""

    @property
    def name(self) -> str:
        """The first half of its metrics' names, and the name of its sample file."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that it will report; known before any work, so that gates can be checked."""

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """What its scores depend on besides the model, for the artifact's digest."""

    def tasks(self, report: Report = ignore_progress) -> list[T]:
        """Return the tasks, drawn by seed; may take its time to find out which are fit to be asked."""

    def prompts(
        self, tasks: Sequence[T], completer: Completer, report: Report
    ) -> tuple[list[Prompt], Sampling]:
        """Return the prompts of all tasks and how to draw completions."""

    def judge(self, tasks: Sequence[T], completions: Sequence[Sequence[str]], report: Report) -> SuiteOutcome:
        """Score the completions, in the order of the prompts."""
