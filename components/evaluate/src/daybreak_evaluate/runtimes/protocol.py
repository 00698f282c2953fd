"""What a runtime is to a suite: it says whether it works here, and judges answers to tasks of its language.

Owns the seam only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits, Tier
from daybreak_evaluate.task import Task


class Isolation(StrEnum):
    """Where the test runs, seen from the candidate; a score names it."""

    SEPARATE = "separate"
    """In another process: the candidate can reach neither test nor verdict."""
    IN_PROCESS = "in-process"
    """In the candidate's own process, where the language leaves no other way: held by a nonce after the test."""


@dataclass(frozen=True)
class Availability:
    """Whether a runtime works on this machine."""

    works: bool
    version: str = ""
    """As the tool prints it; goes to the protocol of a score."""
    remedy: str = ""
    """What to install or allow where it does not work."""


@dataclass(frozen=True)
class Attempt:
    """One answer of a model to a task."""

    task: Task
    completion: str
    is_program: bool = False
    """The completion is a whole program, and nothing of the task goes around it; for Python alone."""


class LanguageRuntime(Protocol):
    """One language."""

    @property
    def language(self) -> str:
        """Name, as a task says it: ``python``, ``go``."""

    @property
    def isolation(self) -> Isolation:
        """How test and candidate are kept apart."""

    @property
    def stop_words(self) -> tuple[str, ...]:
        """Where an answer ends, for tasks that do not say it."""

    def probe(self) -> Availability:
        """Try the tool chain; cheap enough for a command that lists all runtimes."""

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Yield index and verdict of each attempt, as they are done; every attempt gets one."""

    def tier(self) -> Tier:
        """How strongly candidates are held; known once something has been judged or probed."""
