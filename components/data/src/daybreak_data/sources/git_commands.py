"""Runs git so that no hook, filter, submodule, prompt or configuration of the machine or a repository takes part.

Owns the addresses that git gets and what its failures mean; not which commits or files are wanted.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from daybreak_contracts.errors import TransientError, UserError

BUNDLE = b"# v"
"""How a bundle file begins: ``# v2 git bundle``."""
ASK_TIMEOUT_S = 60
CLONE_TIMEOUT_S = 1800
HARDENED = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "credential.helper=",
    "-c", "submodule.recurse=false",
    "-c", "fetch.fsckObjects=true",
    "-c", "transfer.fsckObjects=true",
    "-c", "protocol.ext.allow=never",
    "-c", "gc.auto=0",
)  # fmt: skip
# What git says of a temporary infrastructure failure, not of a wrong manifest.
WORLD_IS_AT_FAULT = (
    "could not resolve host", "timed out", "connection refused", "connection reset", "network is unreachable",
    "early eof", "the remote end hung up", "temporary failure", "no space left on device",
    "error: 429", "error: 500", "error: 502", "error: 503", "error: 504",
)  # fmt: skip


def address_of(name: str, url: str) -> str:
    """Return the URL that git gets: local paths as ``file://``, bundle files as paths; other transports are refused."""
    scheme, separator, _ = url.partition("://")
    if separator:
        if scheme not in ("file", "https", "ssh"):
            raise UserError(f"source {name}: {url}: git takes file, https and ssh, not {scheme!r}")
        return _local_address(name, url.removeprefix("file://")) if scheme == "file" else url
    if url.startswith("-") or "::" in url:
        raise UserError(f"source {name}: {url!r} is not the URL of a git repository")
    host = url.partition("/")[0]
    if ":" in host:  # scp-like: user@host:path
        return url
    return _local_address(name, url)


def _local_address(name: str, url: str) -> str:
    path = Path(url).expanduser().absolute()
    if not path.exists():
        raise UserError(f"source {name}: git repository {path} does not exist, correct git.urls")
    if not path.is_file():
        return f"file://{path}"
    with path.open("rb") as file:
        if not file.read(len(BUNDLE)).startswith(BUNDLE):
            raise UserError(
                f"source {name}: {path} is a file but no git bundle, give the folder of a repository in git.urls"
            )
    return str(path)  # git takes a bundle by its path alone


def folder_of(address: str) -> Path | None:
    """Return the folder of a repository on this machine; None for a bundle and for every other machine's."""
    return Path(address.removeprefix("file://")) if address.startswith("file://") else None


def environment() -> dict[str, str]:
    """Return the environment of every git that we start."""
    kept = (
        "PATH",
        "HOME",
        "SSH_AUTH_SOCK",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
    )
    return {
        **{key: os.environ[key] for key in kept if key in os.environ},
        "GIT_ALLOW_PROTOCOL": "file:https:ssh",
        "GIT_ASKPASS": "true",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


def run_git(name: str, what: str, arguments: Iterable[str], timeout_s: float, stdin: bytes = b"") -> bytes:
    """Return what git answers; a failure is a UserError, or a TransientError where the world is at fault."""
    try:
        done = subprocess.run(
            ["git", *HARDENED, *arguments],
            input=stdin,
            capture_output=True,
            env=environment(),
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TransientError(f"source {name}: git {what} took longer than {timeout_s:.0f} s") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    message = f"source {name}: git {what} failed: {said.splitlines()[-1] if said else 'no message'}"
    if any(sign in said.lower() for sign in WORLD_IS_AT_FAULT):
        raise TransientError(message)
    raise UserError(f"{message}; correct git.urls or git.ref, or give access without a prompt")
