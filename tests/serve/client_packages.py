"""Clients that people have: installed once, by npm and uv, beside the project's own environment, and kept.

They are no dependency of ours: their versions are named here, what cannot be had is a reason to skip. Owns no test.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).with_name("peer_scripts")
NODE_PACKAGES = (
    "openai@6.49.0",
    "ai@6.0.326",
    "@ai-sdk/openai-compatible@2.0.92",
    "@ai-sdk/openai@3.0.141",
    "@ai-sdk/anthropic@3.0.140",
    "@anthropic-ai/sdk@1.14.0",
    "@langchain/openai@1.5.8",
)
PYTHON_PACKAGES = ("anthropic==2.14.0", "litellm==1.110.2", "langchain-openai==1.7.4")
INSTALL_S = 240


class NoClientError(Exception):
    """A client cannot be had here; says why."""


@dataclass(frozen=True)
class Script:
    """A program that asks a gateway through one client and prints, as JSON, what it was told."""

    name: str

    @property
    def is_node(self) -> bool:
        return self.name.endswith(".mjs")

    def command(self) -> list[str]:
        """Return how it is run, after installing what it needs; raises `NoClientError`."""
        script = SCRIPTS / self.name
        if not self.is_node:
            return [sys.executable if self.name == "openai_python.py" else str(_python()), str(script)]
        home = _node()
        target = home / self.name  # modules are looked up from where a script lies
        staged = home / f".{self.name}.{os.getpid()}"
        shutil.copyfile(script, staged)
        staged.replace(target)
        return ["node", str(target)]


def _kept(kind: str, packages: Sequence[str]) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    digest = hashlib.sha256("\0".join(packages).encode()).hexdigest()[:16]
    return Path(base) / "daybreak" / "clients" / f"{kind}-{digest}"


@cache
def _node() -> Path:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NoClientError("there is no Node with npm")
    home = _kept("node", NODE_PACKAGES)
    quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--loglevel=error")
    _install(home, [[npm, "install", "--prefix", str(home), *quiet, *NODE_PACKAGES]])
    return home


@cache
def _python() -> Path:
    local = Path(__file__).resolve().parents[2] / ".cache" / "uv" / "bin"
    uv = shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(local)]))
    if uv is None:
        raise NoClientError("there is no uv")
    home = _kept("python", PYTHON_PACKAGES)
    python = home / "bin" / "python"
    made = [
        uv,
        "venv",
        "-q",
        "--clear",
        "--python",
        f"{sys.version_info.major}.{sys.version_info.minor}",
        str(home),
    ]
    _install(
        home,
        [made, [uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(python), *PYTHON_PACKAGES]],
    )
    return python


def _install(home: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run the commands once for all processes and checkouts of this machine."""
    stamp = home / "installed"
    if stamp.exists():
        return
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists():
            return
        for command in commands:
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
            except subprocess.CalledProcessError as error:
                raise NoClientError(
                    f"{Path(command[0]).name} cannot install it: {error.stderr[-300:]}"
                ) from error
            except subprocess.TimeoutExpired as error:
                raise NoClientError(f"{Path(command[0]).name} did not install it in {INSTALL_S} s") from error
        stamp.touch()
