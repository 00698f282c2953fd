"""The language of a file by its name, as the gateway's metrics count requests by it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def language_of(file: str | None, languages: Mapping[str, str]) -> str:
    """Return the language of a file name by its extension, ``unknown`` where there is none."""
    if file is None:
        return "unknown"
    return languages.get(Path(file).suffix.lower(), "unknown")


LANGUAGES: Mapping[str, str] = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".java": "java",
    ".go": "go",
    ".c": "c",
    ".h": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cxx": "cpp",
    ".hpp": "cpp",
    ".hh": "cpp",
    ".rs": "rust",
}
"""Extensions of the languages that a run knows by name."""
