"""Which languages can be run: our runtimes, and those that other packages registered.

Owns names only; whether a runtime works here is its own ``probe``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

from daybreak_contracts.errors import UserError
from daybreak_evaluate import entry_points
from daybreak_evaluate.runtimes.command import command_runtimes
from daybreak_evaluate.runtimes.html.runtime import HtmlRuntime
from daybreak_evaluate.runtimes.in_repository.go_runtime import GoRepositoryRuntime
from daybreak_evaluate.runtimes.in_repository.js_runtime import JavaScriptRepositoryRuntime
from daybreak_evaluate.runtimes.in_repository.runtime import RepositoryRuntime
from daybreak_evaluate.runtimes.protocol import LanguageRuntime
from daybreak_evaluate.runtimes.python import PythonRuntime


@cache
def _ours() -> dict[str, LanguageRuntime]:
    others: list[LanguageRuntime] = [
        PythonRuntime(),
        RepositoryRuntime(),
        GoRepositoryRuntime(),
        JavaScriptRepositoryRuntime(),
        HtmlRuntime(),
    ]
    return {**{runtime.language: runtime for runtime in others}, **command_runtimes()}


def languages() -> list[str]:
    """Return every language that has a runtime, in order."""
    return sorted({*_ours(), *entry_points.registered(entry_points.RUNTIMES, _ours())})


@cache
def get(language: str) -> LanguageRuntime:
    """Return the runtime of a language; a language without one is a UserError."""
    if language in _ours():
        return _ours()[language]
    others = entry_points.registered(entry_points.RUNTIMES, _ours())
    if language not in others:
        raise UserError(
            f"no runtime runs {language}, known are {', '.join(languages())}; install a package that registers one in "
            f"{entry_points.RUNTIMES}"
        )
    return cast(Callable[[], LanguageRuntime], others[language].load())()
