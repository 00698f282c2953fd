"""A language as its declarative file says it: tools, how to ask their version, how to compile and run, what they need.

Owns the form of ``languages/*.toml`` and looking tools up on this machine. Runs no answer.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from daybreak_evaluate.runtimes.boxes.values import BoxLimits
from daybreak_evaluate.runtimes.protocol import Availability, Isolation

PROBE_TIMEOUT_S = 20
MIB = 1 << 20


@dataclass(frozen=True)
class PhaseNeed:
    """What one phase needs, whatever the answer does."""

    memory_mib: int
    address_mib: int
    processes: int
    start_s: float = 0.0
    """Processor time that the tool itself takes to start; given to every answer besides its limit."""
    cpu_s: float = 0.0
    """Processor time of the whole phase; 0 takes the limit of the task."""

    def limits(self, timeout_s: float, memory_bytes: int = 0) -> BoxLimits:
        """Return a box's limits for a task's limit of time, with at least the needed memory."""
        return BoxLimits(
            cpu_s=self.cpu_s or timeout_s + self.start_s,
            memory_bytes=max(self.memory_mib * MIB, memory_bytes),
            address_bytes=max(self.address_mib * MIB, 2 * memory_bytes),
            processes=self.processes,
        )


@dataclass(frozen=True)
class LanguageDefinition:
    """One language."""

    language: str
    isolation: Isolation
    file: str
    """Name of an answer's file, with the language's extension."""
    stop_words: tuple[str, ...]
    packages: tuple[str, ...]
    """Debian packages that bring the tools."""
    tools: Mapping[str, tuple[str, ...]]
    """Name to programs that do, best first; looked up on PATH."""
    places: Mapping[str, Mapping[str, Any]]
    """Name to how a folder is found: ``command`` prints it, or ``tool`` lies so many folders (``up``) below it."""
    version_argv: tuple[str, ...]
    version_pattern: str
    readable: tuple[str, ...]
    compile_argvs: tuple[tuple[str, ...], ...]
    """One command after another; empty for languages that are not compiled."""
    compile_test_argvs: tuple[tuple[str, ...], ...]
    """The same where a test is put together with the answer."""
    run_argv: tuple[str, ...]
    test_argv: tuple[str, ...]
    """The test's side where it runs in a process of its own, else how a program runs that holds its test."""
    environment: Mapping[str, str]
    compile_need: PhaseNeed
    run_need: PhaseNeed
    wrong_words: str
    """Pattern of what a failed assertion says, told from other errors."""
    libraries: str = ""
    """What tests of public suites need beyond the language, and how to get it."""
    version_note: str = ""
    """What this version of the tools lacks of the language; told by ``doctor`` and kept with the scores."""
    writes_code: bool = True
    """Its programs compile while they run, as those of a virtual machine do."""
    shown: Mapping[str, str] = field(default_factory=dict)
    """Folders that boxes see, and which of the cache's they are."""


def parse(text: str) -> LanguageDefinition:
    """Read one file."""
    document = tomllib.loads(text)
    compiling = document.get("compile", {})
    running = document["run"]
    return LanguageDefinition(
        language=document["language"],
        isolation=Isolation(document["isolation"]),
        file=document["file"],
        stop_words=tuple(document["stop_words"]),
        packages=tuple(document["packages"]),
        tools={name: tuple(programs) for name, programs in document["tools"].items()},
        places=document.get("places", {}),
        version_argv=tuple(document["probe"]["argv"]),
        version_pattern=document["probe"]["version"],
        readable=tuple(document["readable"]),
        compile_argvs=tuple(tuple(argv) for argv in compiling.get("argvs", [])),
        compile_test_argvs=tuple(
            tuple(argv) for argv in compiling.get("test_argvs", compiling.get("argvs", []))
        ),
        run_argv=tuple(running["argv"]),
        test_argv=tuple(running.get("test_argv", running["argv"])),
        environment=document.get("environment", {}),
        compile_need=PhaseNeed(**compiling.get("need", {"memory_mib": 0, "address_mib": 0, "processes": 0})),
        run_need=PhaseNeed(**running["need"]),
        wrong_words=running.get("wrong_words", ""),
        libraries=document.get("libraries", ""),
        version_note=document.get("version_note", ""),
        writes_code=running.get("writes_code", True),
        shown=document.get("shown", {}),
    )


@functools.cache
def definitions() -> Mapping[str, LanguageDefinition]:
    """Return all languages of the package, by name."""
    folder = resources.files("daybreak_evaluate.runtimes") / "languages"
    found = [parse(path.read_text("utf-8")) for path in folder.iterdir() if path.name.endswith(".toml")]
    return {each.language: each for each in sorted(found, key=lambda each: each.language)}


@dataclass(frozen=True)
class Toolchain:
    """A language's tools as they are on this machine."""

    paths: Mapping[str, str]
    """Names of tools and places to absolute paths."""
    version: str

    def fill(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Put paths where ``{name}`` stands."""
        return tuple(re.sub(r"\{(\w+)\}", lambda match: self.paths[match[1]], word) for word in words)

    def environment(self, definition: LanguageDefinition) -> tuple[tuple[str, str], ...]:
        """Return the environment of boxes of this language, besides what every box has."""
        return tuple(
            zip(definition.environment, self.fill(tuple(definition.environment.values())), strict=True)
        )

    def readable(self, definition: LanguageDefinition) -> list[str]:
        """Return the files and folders that boxes of this language see."""
        return list(self.fill(definition.readable))


class ToolMissingError(Exception):
    """A program is not there or does not work; the message says which."""


def find_toolchain(definition: LanguageDefinition) -> Toolchain:
    """Look the tools up and ask their version."""
    paths: dict[str, str] = {}
    for name, programs in definition.tools.items():
        found = next((path for program in programs if (path := shutil.which(program))), None)
        if found is None:
            raise ToolMissingError(f"{' or '.join(programs)} is not installed")
        paths[name] = found
    for name, how in definition.places.items():
        paths[name] = _find_place(how, paths)
    output = _output_of([paths.get(word.strip("{}"), word) for word in definition.version_argv])
    match = re.search(definition.version_pattern, output)
    if match is None:
        raise ToolMissingError(f"{definition.version_argv[0].strip('{}')} does not say its version")
    return Toolchain(paths, match[0].strip())


def _find_place(how: Mapping[str, Any], paths: Mapping[str, str]) -> str:
    if "command" in how:
        return _output_of([paths.get(word.strip("{}"), word) for word in how["command"]]).strip()
    path = Path(paths[how["tool"]]).resolve()
    return str(path.parents[how["up"] - 1] if how["up"] else path)


def _output_of(argv: list[str]) -> str:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissingError(f"{argv[0]} does not run: {error}") from error
    return done.stdout + done.stderr


def probe(definition: LanguageDefinition) -> Availability:
    """Say whether the tools are there, and what to install where they are not."""
    try:
        version = find_toolchain(definition).version
        return Availability(
            True, f"{version} ({definition.version_note})" if definition.version_note else version
        )
    except ToolMissingError as error:
        return Availability(False, remedy=f"{error}; apt-get install {' '.join(definition.packages)}")
