"""What the documents say of the tree must be so: paths, links, targets, manifests in code blocks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daybreak_contracts.manifests.validate import validate_text

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("components/*/README.md")])
PAGES = pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of one language; an empty language means blocks that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for named, block in found if named == language]


@PAGES
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@PAGES
def test_manifests_in_documents_are_valid(page: Path) -> None:
    manifests = [block for block in blocks(page.read_text(), "yaml") if "apiVersion: daybreak.dev" in block]
    problems = [str(problem) for block in manifests for problem in validate_text(block.encode(), page.name)]
    assert problems == []


@PAGES
def test_make_targets_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", page.read_text()))
    assert named - TARGETS == set()


def test_the_readme_carries_a_manifest_and_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert any("kind: TrainingRun" in block for block in blocks(text, "yaml"))
    assert "`make run`" in text
    assert "`make test`" in text


def test_the_readmes_map_is_the_tree() -> None:
    """Every room stands in the map, and every folder of the map stands in the tree."""
    (text,) = [
        block for block in blocks((ROOT / "README.md").read_text(), "") if "components/contracts" in block
    ]
    named = {word for line in text.splitlines() for word in re.split(r"\s{2,}", line)[0].split()}
    assert [word for word in named if not (ROOT / word).is_dir()] == []
    rooms = {
        str(path.parent.relative_to(ROOT))
        for path in [*ROOT.glob("components/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")]
    }
    assert rooms - named == set()


def test_decisions_are_numbered_once_and_begin_with_what_was_wanted() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert len(numbers) == len(set(numbers))
    for page in pages:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", page.name)
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]}: "), page.name
        assert "**Wanted.**" in text or "**The clash.**" in text, page.name
