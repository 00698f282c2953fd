"""Which files pin dependencies: full of hashes that are no keys, and of versions that are no addresses."""

from __future__ import annotations

from pathlib import PurePosixPath

_LOCK_FILE_NAMES = """
package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock poetry.lock uv.lock pdm.lock
pipfile.lock cargo.lock go.sum composer.lock gemfile.lock flake.lock packages.lock.json .secrets.baseline
podfile.lock mix.lock pubspec.lock
"""
_LOCK_FILES = frozenset(_LOCK_FILE_NAMES.split())


def is_lock_file(path: str) -> bool:
    """Tell whether a file pins dependencies, which means it is full of hashes."""
    name = PurePosixPath(path).name.lower()
    return name in _LOCK_FILES or name.endswith(".lock")
