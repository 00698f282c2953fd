"""The language of ``.h`` by the sources beside it: nothing in a plain header says whether it is C, C++ or Objective-C.

Owns: the decision, given the paths of a repository. Pure. Asked only where the header's own text does not decide.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

_SOURCES = {
    **dict.fromkeys((".c",), "c"),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".c++", ".cu", ".cppm", ".ixx", ".hpp", ".hxx", ".hh"), "cpp"),
    **dict.fromkeys((".m", ".mm"), "objective-c"),
}
LANGUAGES = ("c", "cpp", "objective-c")


def header_languages(paths: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
    """Return the language of each ``.h`` of these (repository, path) that is not C.

    The source of the same name decides, wherever it lies in the repository; then the sources of its folder and of the
    folders above, the nearest that hold any, by majority. C wins a tie, and where there is no source at all.
    """
    headers: list[tuple[str, str]] = []
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    folders: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for repository, path in paths:
        folder, stem, ending = _parts(path)
        if ending == ".h":
            headers.append((repository, path))
        elif ending in _SOURCES:
            named[repository, stem].add(_SOURCES[ending])
            for above in _and_above(folder):
                folders[repository, above][_SOURCES[ending]] += 1
    found = {(repository, path): _decide(repository, path, named, folders) for repository, path in headers}
    return {place: language for place, language in found.items() if language != "c"}


def _decide(
    repository: str,
    path: str,
    named: Mapping[tuple[str, str], set[str]],
    folders: Mapping[tuple[str, str], Counter[str]],
) -> str:
    folder, stem, _ = _parts(path)
    same = named.get((repository, stem), set())
    if len(same) == 1:
        return next(iter(same))
    counts: Counter[str] = next(
        (folders[repository, above] for above in _and_above(folder) if (repository, above) in folders),
        Counter(),
    )
    return max(LANGUAGES, key=lambda language: counts[language])  # the first of equals: C


def _parts(path: str) -> tuple[str, str, str]:
    """Folder, name without ending, ending in lower case."""
    folder, _, name = path.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    return folder, stem if dot else name, f".{ending.lower()}" if dot else ""


def _and_above(folder: str) -> Iterable[str]:
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""
