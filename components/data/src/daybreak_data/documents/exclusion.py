"""What a manifest excludes by name, and which of it concerns a source. Pure.

A source's artifact depends only on the names that concern it: excluding a repository leaves the work on all sources
that do not hold it as it is.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from daybreak_contracts.resources.run import Exclusion
from daybreak_data.sources import Listing


@dataclass(frozen=True)
class ExclusionRules:
    """The names that concern one source."""

    repositories: frozenset[str] = frozenset()
    """In lower case, as owners are: code hosts do not tell cases apart."""
    owners: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    def reason_for(self, repository: str, path: str) -> str:
        """Return which rule excludes a file, in words; empty when none does."""
        name = repository.lower()
        owner, separator, _ = name.partition("/")
        if name in self.repositories:
            return f"repository {repository}"
        if separator and owner in self.owners:
            return f"owner {repository.partition('/')[0]}"
        return next((f"path {glob}" for glob in self.paths if matches(glob, path)), "")

    def as_key(self) -> list[list[str]]:
        """Return the rules for a digest."""
        return [sorted(self.repositories), sorted(self.owners), sorted(self.paths)]


def all_rules(exclude: Exclusion) -> ExclusionRules:
    """Return all that a manifest excludes by name."""
    repositories = frozenset(name.lower() for name in exclude.repositories)
    return ExclusionRules(repositories, frozenset(name.lower() for name in exclude.owners), exclude.paths)


def rules_for(exclude: Exclusion, listing: Listing) -> ExclusionRules:
    """Return the rules that concern a source: what cannot match anything in it is left out, where that is known."""
    named = all_rules(exclude)
    repositories, owners = named.repositories, named.owners
    if listing.repositories is not None:
        held = {name.lower() for name in listing.repositories}
        repositories &= held
        owners &= {name.partition("/")[0] for name in held if "/" in name}
    paths: Iterable[str] = named.paths
    if listing.holds_plain_files and paths:
        files = [ref.path for ref in listing.expand().refs]
        paths = [glob for glob in paths if any(matches(glob, path) for path in files)]
    return ExclusionRules(repositories, owners, tuple(paths))


def matches(glob: str, path: str) -> bool:
    """Tell whether a glob is of this path; one without a slash is of every file of that name."""
    return _pattern(glob).fullmatch(path if "/" in glob else path.rpartition("/")[2]) is not None


@functools.cache
def _pattern(glob: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("/") + ("**" if glob.endswith("/") else ""))
    signs = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    return re.compile("".join(signs.get(part, re.escape(part)) for part in parts), re.DOTALL)
