"""Which runner tests a JavaScript package, and how it is called: told by its package.json.

Owns the reading of scripts, and the sentence for a runner that is not played. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NODE = "node"
PLAYED = ("mocha", "jest", "vitest", "jasmine")
OTHERS = (
    "ava",
    "tape",
    "tap",
    "uvu",
    "karma",
    "qunit",
    "lab",
    "bun",
    "playwright",
    "cypress",
    "wtr",
    "web-test-runner",
    "deno",
)
BEHIND_ANOTHER_NAME = {"_mocha": "mocha", "react-scripts": "jest", "kcd-scripts": "jest", "tsdx": "jest"}
"""Programs that start a runner with a configuration of their own, where the runner alone finds its tests too."""
WRAPPERS = ("nyc", "c8", "cross-env", "npx", "pnpm", "yarn", "exec", "env", "dotenv", "--")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)\Z", re.DOTALL)
_NOT_A_CALL = re.compile(r"(?:^|[\s/])(?:eslint|prettier|xo|standard|tsc|rimraf|echo)\b")


@dataclass(frozen=True)
class RunnerCall:
    """A runner and what its script gives it."""

    name: str
    arguments: tuple[str, ...] = ()
    node_flags: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


def runner_of(package: Mapping[str, Any]) -> RunnerCall | None:
    """Return what the scripts call, or the only runner among the dependencies; None where neither says one."""
    calls = [call for text in _scripts(package) for call in _calls(text)]
    for names in (PLAYED, (NODE,), OTHERS):
        for call in calls:
            if call.name in names:
                return call
    wanted = {name for key in ("devDependencies", "dependencies") for name in _table(package, key)}
    return next((RunnerCall(name) for name in (*PLAYED, *OTHERS) if name in wanted), None)


def _table(package: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = package.get(key)
    return found if isinstance(found, Mapping) else {}


def _scripts(package: Mapping[str, Any]) -> Iterator[str]:
    """Yield the scripts that test, ``test`` first."""
    scripts = {name: text for name, text in _table(package, "scripts").items() if isinstance(text, str)}
    first = sorted(scripts, key=lambda name: (name != "test", "unit" not in name))
    yield from (scripts[name] for name in first if re.search(r"test|unit|spec|jest|mocha|vitest", name))


def _calls(script: str) -> Iterator[RunnerCall]:
    for part in re.split(r"&&|\|\||[;|\n]", script):
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        found = _call(words)
        if found is not None:
            yield found


def _call(words: list[str]) -> RunnerCall | None:
    """Return the runner that a command starts, behind what measures coverage or sets the environment."""
    env: list[tuple[str, str]] = []
    flags: list[str] = []
    is_node = False
    for place, word in enumerate(words):
        assigned = _ASSIGNMENT.match(word)
        name = _program(word)
        if assigned and not word.startswith("-"):
            if assigned[1] == "NODE_OPTIONS":
                flags += assigned[2].split()
            else:
                env.append((assigned[1], assigned[2]))
        elif is_node and word == "--test":
            return RunnerCall(NODE, (), tuple(flag for flag in flags if flag != "--test"), tuple(env))
        elif name in PLAYED or name in OTHERS:
            return RunnerCall(name, tuple(words[place + 1 :]), tuple(flags), tuple(env))
        elif name == NODE:
            is_node = True
        elif is_node and word.startswith("-"):
            flags.append(word)
        elif not (word in WRAPPERS or word.startswith("-") or is_node):
            return None
    return None


def _program(word: str) -> str:
    """Return the program of a word as ``node_modules/.bin/mocha`` or ``node_modules/jest/bin/jest.js``."""
    package = re.search(r"node_modules/(?!\.bin/)([\w-]+)/", word)
    name = package[1] if package else re.sub(r"\.[cm]?js\Z", "", word.rsplit("/", 1)[-1])
    return BEHIND_ANOTHER_NAME.get(name, name)
