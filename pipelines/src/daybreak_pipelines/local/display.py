"""What a person sees while a run goes on: which step, how far, how long yet.

A terminal gets bars that move; anything else gets a line when a step starts and ends, and one a minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from daybreak_pipelines import estimate
from daybreak_pipelines.plan import TITLES

LINE_INTERVAL_S = 60.0


@dataclass(frozen=True)
class RunState:
    """Everything there is to show."""

    now_s: float
    """Seconds since the run began."""
    done: Mapping[str, float] = field(default_factory=dict)
    """Ended step to its seconds."""
    cached: frozenset[str] = frozenset()
    """Ended steps that found their work done."""
    current: str | None = None
    activity: str = ""
    share: float = 0.0
    left_s: float = 0.0


class Display(Protocol):
    """Shows states; ``close`` leaves the screen as the last one."""

    def show(self, state: RunState) -> None:
        """Show a state."""

    def close(self) -> None:
        """Stop showing."""


class Bars:
    """One bar a step, redrawn in place."""

    def __init__(self, stream: TextIO, steps: Sequence[str]) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[mark]}"),
            TextColumn("{task.description:16}"),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[note]}"),
            console=Console(file=stream),
            refresh_per_second=5,
        )
        self._tasks: dict[str, TaskID] = {
            step: self._progress.add_task(TITLES[step], total=1.0, mark="·", note="") for step in steps
        }
        self._total = self._progress.add_task("Whole run", total=1.0, mark=" ", note="")
        self._progress.start()

    def show(self, state: RunState) -> None:
        """Redraw."""
        for step, task in self._tasks.items():
            mark, completed, note = _bar(step, state)
            self._progress.update(task, completed=completed, mark=mark, note=note)
        whole = state.now_s / max(state.now_s + state.left_s, 1e-9)
        note = f"{estimate.in_words(state.now_s)} gone, about {estimate.in_words(state.left_s)} left"
        self._progress.update(self._total, completed=whole, note=note)

    def close(self) -> None:
        """Leave the last picture."""
        self._progress.stop()


def _bar(step: str, state: RunState) -> tuple[str, float, str]:
    if step in state.done:
        note = "nothing changed" if step in state.cached else estimate.in_words(state.done[step])
        return "✓", 1.0, note
    if step == state.current:
        return "▸", state.share, state.activity
    return "·", 0.0, ""


class Lines:
    """One line an event, for logs and pipes."""

    def __init__(self, stream: TextIO, steps: Sequence[str]) -> None:
        self._stream = stream
        self._count = len(steps)
        self._told: set[str] = set()
        self._current: str | None = None
        self._last_s = 0.0

    def show(self, state: RunState) -> None:
        """Print what is new."""
        for step, seconds in state.done.items():
            if step not in self._told:
                self._told.add(step)
                how = "nothing changed" if step in state.cached else f"done in {estimate.in_words(seconds)}"
                self._print(state, f"{TITLES[step]}: {how}")
        started = state.current is not None and state.current != self._current
        if state.current is not None and (started or state.now_s - self._last_s >= LINE_INTERVAL_S):
            self._current = state.current
            share = f" {100 * state.share:.0f} %" if state.share else ""
            left = f", about {estimate.in_words(state.left_s)} left"
            self._print(state, f"{TITLES[state.current]}:{share} {state.activity or 'starting'}{left}")

    def close(self) -> None:
        """Nothing to leave."""

    def _print(self, state: RunState, text: str) -> None:
        self._last_s = state.now_s
        number = len(self._told) + (0 if state.current is None else 1)
        self._stream.write(
            f"[{estimate.in_words(state.now_s):>12}] {min(number, self._count)}/{self._count} {text}\n"
        )
        self._stream.flush()


def display_for(stream: TextIO, steps: Sequence[str]) -> Display:
    """Return bars for a terminal, lines for anything else, over a run's steps."""
    return Bars(stream, steps) if stream.isatty() else Lines(stream, steps)
