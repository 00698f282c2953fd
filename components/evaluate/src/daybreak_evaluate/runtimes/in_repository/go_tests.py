"""Tests of a Go repository in the sandbox: one file with another text, its package's tests compiled and run.

Owns the places of the tool chain, the cache of what was compiled before, and the jobs. The repository is compiled
outside the sandbox too, to fill that cache, without cgo, by which no line of it runs; an answer only inside.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes.assembling.sources import driver
from daybreak_evaluate.runtimes.boxes.pool import BoxPool
from daybreak_evaluate.runtimes.boxes.values import Box, BoxLimits, BoxStep, Job, StepOutcome
from daybreak_evaluate.runtimes.in_repository import snapshot

BEGAN = "daybreak: the tests begin"
TIMEOUT_S = 60.0
COMPILE_S = 120.0
WARM_TIMEOUT_S = 1800
MEMORY_BYTES = 2 << 30
ADDRESS_BYTES = 16 << 30
"""Go reserves address space that it never touches."""
PROCESSES = 128
ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GODEBUG": "goindex=0",
    "GOENV": "off",
    "GOFLAGS": "-buildvcs=false -trimpath",
    "GOPROXY": "off",
    "GOSUMDB": "off",
    "GOTELEMETRY": "off",
    "GOTOOLCHAIN": "local",
}
"""No network, no other tool chain, and nothing compiled that depends on where the repository lies."""


@dataclass(frozen=True)
class GoOrder:
    """One run of a package's tests."""

    folder: str
    """Of the package, below the repository's root."""
    package: str
    path: str = ""
    """The file that is replaced; empty: none."""
    text: str = ""
    braces: tuple[int, int] | None = None
    """Offsets between which the answer must be a body and nothing else."""
    tests: tuple[str, ...] = ()
    """None: all, and each is told."""


def go_program() -> str | None:
    """Return where Go is."""
    return shutil.which("go")


class GoRepository(snapshot.LaidOut):
    """A snapshot laid out for the sandbox, by ``with``."""

    def __init__(self, packed: bytes, go: str) -> None:
        super().__init__(packed)
        self._go = go
        self._root = Path(_said([go, "env", "GOROOT"]).strip()).resolve()
        self._modules = Path(_said([go, "env", "GOMODCACHE"]).strip())
        self._caches = _caches(_said([go, "version"]))

    def __enter__(self) -> Self:
        super().__enter__()
        if not (self._caches / "functions").is_file():
            self._build_finder()
        return self

    def functions(self) -> dict[str, Any]:
        """Return functions with bodies, and the folders, as the finder says."""
        paths = [path for path in snapshot.files_of(self.place) if path.endswith(".go")]
        kept = [path for path in paths if not re.search(r"(?:^|/)(?:testdata/|vendor/|[._])", path)]
        argv = [str(self._caches / "functions"), "find", str(self.place)]
        found: dict[str, Any] = json.loads(_said(argv, text="\n".join(kept)))
        return found

    def warm(self, folders: Sequence[str]) -> None:
        """Compile these packages, their tests and what they need, into the cache that boxes read."""
        argv = [self._go, "list", "-export", "-deps", "-test", "-e", "-f", "{{.Name}}"]
        _said(
            [*argv, *sorted({f"./{folder}" for folder in folders})],
            cwd=self.place,
            timeout=WARM_TIMEOUT_S,
            GOCACHE=str(self._caches / "build"),
        )

    def run(self, orders: Sequence[GoOrder], workers: int) -> Iterator[tuple[int, tuple[StepOutcome, ...]]]:
        """Yield index and outcomes of each order: the body's place, compiling, testing."""
        moved = [(str(self.place), "/repository"), (str(self._caches), "/cache")]
        if self._modules.is_dir():
            moved.append((str(self._modules), "/modules"))
        with BoxPool([str(self._root)], workers, moved) as pool:
            yield from pool.run(self._job(order) for order in orders)

    def _job(self, order: GoOrder) -> Job:
        seal = driver("go_repository", "seal_test.go.template")
        place = f"/repository/{order.folder}"
        for name, value in (("package", order.package), ("folder", place), ("began", BEGAN)):
            seal = seal.replace(f"{{{name}}}", value)
        replaced = {f"{place}/zz_daybreak_seal_test.go": "/job/seal.go"}
        files = [("seal.go", seal)]
        if order.path:
            replaced[f"/repository/{order.path}"] = "/job/answer.go"
            files.append(("answer.go", order.text))
        files.append(("overlay.json", json.dumps({"Replace": replaced})))
        compiler = BoxLimits(COMPILE_S, MEMORY_BYTES, ADDRESS_BYTES, PROCESSES, file_bytes=512 << 20)
        env = {**ENVIRONMENT, "GOCACHE": "/cache/build", "GOMODCACHE": "/modules", "GOMAXPROCS": "2"}
        env |= {"GOPATH": "/tmp/go", "HOME": "/tmp", "GOTMPDIR": "/build", "GOROOT": str(self._root)}
        go = f"{self._root}/bin/go"
        argv = (
            go,
            "-C",
            place,
            "test",
            "-c",
            "-vet=off",
            "-overlay",
            "/job/overlay.json",
            "-o",
            "/out/tests",
            ".",
        )
        steps = []
        if order.braces is not None:
            argv_within = ("/cache/functions", "within", "/job/answer.go", *map(str, order.braces))
            steps.append(BoxStep(Box(argv_within, compiler, files=tuple(files))))
        steps.append(BoxStep(Box(argv, compiler, files=tuple(files), env=tuple(env.items()), builds=True)))
        limits = BoxLimits(TIMEOUT_S, MEMORY_BYTES, ADDRESS_BYTES, PROCESSES)
        wanted = f"-test.run=^({'|'.join(map(re.escape, order.tests))})$" if order.tests else "-test.v"
        run = ("/out/tests", wanted, "-test.timeout=0", "-test.count=1")
        steps.append(
            BoxStep(
                Box(run, limits, secret=secrets.token_hex(16), env=(("HOME", "/tmp"), ("GOMAXPROCS", "2")))
            )
        )
        return Job(tuple(steps), folder_bytes=1 << 30)

    def _build_finder(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "main.go").write_text(driver("go_repository", "functions.go.template"))
            output = self._caches / f".functions-{os.getpid()}"
            _said(
                [self._go, "build", "-o", str(output), "main.go"],
                cwd=Path(name),
                GOWORK="off",
                GOCACHE=str(self._caches / "build"),
                timeout=WARM_TIMEOUT_S,
            )
            output.chmod(0o755)
            output.replace(self._caches / "functions")


def _caches(version: str) -> Path:
    text = driver("go_repository", "functions.go.template")
    digest = hashlib.sha256(f"{version}\0{text}".encode()).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "daybreak" / "runtimes"
    folder = base / f"go-repository-{digest}"
    (folder / "build").mkdir(parents=True, exist_ok=True)
    return folder


def _said(
    argv: list[str], *, text: str = "", cwd: Path | None = None, timeout: float = 60.0, **more: str
) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=True,
            env={**os.environ, **ENVIRONMENT, **more},
        )
    except subprocess.CalledProcessError as error:
        raise UserError(f"{' '.join(argv[:3])} does not work here: {error.stderr.strip()[-500:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{' '.join(argv[:3])} does not work here: {error}") from error
    return done.stdout
