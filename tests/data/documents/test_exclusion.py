"""What a manifest excludes by name: which files, and which sources it concerns."""

from __future__ import annotations

import pytest

from daybreak_contracts.resources.run import Exclusion
from daybreak_data.documents.exclusion import ExclusionRules, matches, rules_for
from daybreak_data.sources import Contents, FileRef, Listing


@pytest.mark.parametrize(
    ("glob", "taken", "left"),
    [
        pytest.param(
            "secret.py", ["secret.py", "a/b/secret.py"], ["secret.pyc", "my_secret.py"], id="a-name"
        ),
        pytest.param("*.sql", ["a.sql", "a/b.sql"], ["a.sql/b", "asql"], id="a-suffix"),
        pytest.param("src/*.py", ["src/a.py"], ["src/a/b.py", "x/src/a.py"], id="one-folder"),
        pytest.param("src/**/*.py", ["src/a.py", "src/a/b/c.py"], ["src/a.pyc"], id="all-folders"),
        pytest.param("vendor/", ["vendor/a", "vendor/a/b"], ["vendor", "x/vendor/a"], id="a-folder"),
        pytest.param("**/vendor/**", ["vendor/a", "x/vendor/a/b"], ["vendors/a"], id="a-folder-anywhere"),
        pytest.param("/top.py", ["top.py"], ["a/top.py"], id="at-the-top"),
        pytest.param("a?.py", ["ab.py"], ["a.py", "a/.py"], id="one-sign"),
        pytest.param("[ab].py", ["[ab].py"], ["a.py"], id="brackets-are-themselves"),
        pytest.param("**", ["a", "a/b", "a\nb"], [], id="everything"),
    ],
)
def test_globs(glob: str, taken: list[str], left: list[str]) -> None:
    assert [path for path in [*taken, *left] if matches(glob, path)] == taken


RULES = ExclusionRules(frozenset({"o/one"}), frozenset({"foe"}), ("*.sql",))


@pytest.mark.parametrize(
    ("repository", "path", "reason"),
    [
        ("O/One", "a.py", "repository O/One"),
        ("o/one-more", "a.py", ""),
        ("Foe/any", "a.py", "owner Foe"),
        ("foe", "a.py", ""),
        ("o/two", "x/a.sql", "path *.sql"),
    ],
)
def test_the_rule_that_excludes_a_file_is_told(repository: str, path: str, reason: str) -> None:
    assert RULES.reason_for(repository, path) == reason


def listing(repositories: list[str] | None, *paths: str) -> Listing:
    refs = tuple(FileRef("file", "s", "r", path, "", 1, "", "") for path in paths)
    held = None if repositories is None else frozenset(repositories)
    return Listing("s", "f", lambda: Contents(refs), held, bool(paths))


EXCLUDE = Exclusion(repositories=("o/one", "p/two"), owners=("O", "q"), paths=("*.sql", "*.py"))


@pytest.mark.parametrize(
    ("held", "concerned"),
    [
        pytest.param(listing(["x"], "a.go"), [[], [], []], id="nothing-in-it"),
        pytest.param(listing(["o/three"], "a.py"), [[], ["o"], ["*.py"]], id="an-owner-and-a-path"),
        pytest.param(listing(["P/Two"]), [["p/two"], [], ["*.py", "*.sql"]], id="paths-are-not-known"),
        pytest.param(listing(None), [["o/one", "p/two"], ["o", "q"], ["*.py", "*.sql"]], id="rows"),
    ],
)
def test_only_rules_that_can_match_concern_a_source(held: Listing, concerned: list[list[str]]) -> None:
    assert rules_for(EXCLUDE, held).as_key() == concerned
