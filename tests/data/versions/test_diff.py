"""Two versions side by side: every kind by hand, and the arithmetic for any two."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts import artifacts
from daybreak_contracts.errors import UserError
from daybreak_data.versions import version as versions
from daybreak_data.versions.diff import diff
from daybreak_data.versions.version import open_version
from tests.plugins.data_artifacts import (
    document,
    dropped,
    tokenizer_json,
    write_documents,
    write_shards,
    write_tokenizer,
)

KINDS = ("out", "in", "changed", "moved")


def counts(told: dict[str, Any], measure: str = "documents") -> dict[str, int]:
    return {kind: told["total"][kind][measure] for kind in told["total"]}


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Any]:
    kept = document("kept.py", "x = 1\n")
    before = [
        kept,
        document("old_name.py", "def moved():\n    return 'this one'\n"),
        document("edited.py", "a = 1\nb = 2\nc = 3\n"),
        document("gone.go", "package gone\n", language="go"),
        document("minified.js", "var a;\n", language="javascript", licence=""),
    ]
    after = [
        kept,
        document("new_name.py", "def moved():\n    return 'this one'\n"),
        document("edited.py", "a = 1\nb = 22\nc = 3\n"),
        document("was_generated.rs", "fn main() {}\n", language="rust"),
        document("new.rs", "fn other() {}\n", language="rust", source="more"),
    ]
    drops = (
        [dropped("was_generated.rs", "generated", language="rust")],
        [dropped("minified.js", "max-line-length", language="javascript"), dropped("else.c", "generated")],
    )
    first = write_documents(tmp_path / "a", before, drops[0])
    second = write_documents(tmp_path / "b", after, drops[1], parts=3)
    return diff(open_version(first), open_version(second))


class TestByHand:
    def test_every_document_is_counted_as_what_became_of_it(self, two: dict[str, Any]) -> None:
        assert counts(two) == {"before": 5, "out": 2, "in": 2, "changed": 1, "moved": 1, "after": 5}

    def test_a_document_that_is_dropped_now_tells_why_and_one_that_is_gone_that_it_is(
        self, two: dict[str, Any]
    ) -> None:
        found = {
            side: {row["value"]: row["documents"] for row in rows} for side, rows in two["reasons"].items()
        }
        assert found == {"out": {"absent": 1, "max-line-length": 1}, "in": {"absent": 1, "generated": 1}}

    def test_languages_sources_and_licences_have_rows_of_their_own(self, two: dict[str, Any]) -> None:
        by = {name: {row["value"]: row for row in rows} for name, rows in two["by"].items()}
        assert {name: row["in"]["documents"] for name, row in by["language"].items()} == {
            "go": 0,
            "javascript": 0,
            "python": 0,
            "rust": 2,
        }
        assert by["source"]["more"]["after"]["documents"] == 1
        assert by["licence"]["unknown"]["out"]["documents"] == 1
        assert by["language"]["python"]["changed"]["documents"] == 1

    def test_examples_show_text_places_and_the_change(self, two: dict[str, Any]) -> None:
        examples = two["examples"]
        assert [one["path"] for one in examples["out"]] == ["gone.go"]
        assert [(one["path"], one["reason"]) for one in examples["dropped"]] == [
            ("minified.js", "max-line-length")
        ]
        assert {one["path"] for one in examples["in"]} == {"was_generated.rs", "new.rs"}
        assert "-b = 2" in examples["changed"][0]["text"]
        assert "+b = 22" in examples["changed"][0]["text"]
        assert examples["moved"][0]["from"]["path"] == "old_name.py"
        assert examples["moved"][0]["path"] == "new_name.py"


class TestWhatIsTheSame:
    def test_the_same_text_after_other_replacements_is_changed(self, tmp_path: Path) -> None:
        plain = document("a.py", "mail = 'x'\n")
        redacted = {**plain, "num_redactions": 1}
        first = write_documents(tmp_path / "a", [plain])
        second = write_documents(tmp_path / "b", [redacted])
        assert counts(diff(open_version(first), open_version(second)))["changed"] == 1

    def test_another_place_with_the_same_content_twice_is_one_move_and_one_new_document(
        self, tmp_path: Path
    ) -> None:
        first = write_documents(tmp_path / "a", [document("a.py", "same\n")])
        second = write_documents(tmp_path / "b", [document("b.py", "same\n"), document("c.py", "same\n")])
        told = counts(diff(open_version(first), open_version(second)))
        assert (told["moved"], told["in"], told["out"]) == (1, 1, 0)

    def test_an_artifact_of_another_step_is_refused(self, tmp_path: Path) -> None:
        documents = write_documents(tmp_path / "a", [document("a.py", "x\n")])
        other = write_tokenizer(tmp_path / "a", tokenizer_json(["x\n"]), documents)
        with pytest.raises(UserError, match="of the step tokenizer"):
            open_version(other)


def test_tokens_are_those_of_the_shards(tmp_path: Path) -> None:
    rows = [
        document(f"m{i}.py", f"def f{i}():\n    return {i}\n" * 3, repository=f"r/{i % 3}") for i in range(9)
    ]
    made = []
    for name, some in (("a", rows), ("b", rows[2:])):
        documents = write_documents(tmp_path / name, some)
        tokenizer = write_tokenizer(tmp_path / name, tokenizer_json(row["text"] for row in rows), documents)
        made.append(open_version(documents, write_shards(tmp_path / name, documents, tokenizer)))
    told = diff(*made)
    results = [version.shard_manifest.result for version in made if version.shard_manifest is not None]
    sums = [one["num_train_tokens"] + one["num_held_out_tokens"] for one in results]
    tokens = counts(told, "tokens")
    assert [tokens["before"], tokens["after"]] == sums
    assert tokens["out"] == sums[0] - sums[1]
    assert told["notes"] == []


PLACES = st.tuples(st.sampled_from(["r/a", "r/b", "s/c"]), st.sampled_from(["x.py", "y.py", "z.go"]))
VERSION = st.dictionaries(PLACES, st.sampled_from(["one\n", "two\n", "three\n"]))
DROPS = st.dictionaries(PLACES, st.sampled_from(["generated", "near-duplicate"]))
Version = dict[tuple[str, str], str]


def expected(before: Version, after: Version) -> dict[str, int]:
    """Return the counts by set arithmetic on the texts themselves."""
    changed = sum(before[place] != after[place] for place in before.keys() & after.keys())
    out = Counter(before[place] for place in before.keys() - after.keys())
    into = Counter(after[place] for place in after.keys() - before.keys())
    moved = (out & into).total()
    return {
        "before": len(before),
        "out": out.total() - moved,
        "in": into.total() - moved,
        "changed": changed,
        "moved": moved,
        "after": len(after),
    }


def written(folder: Path, version: Version, drops: Version) -> versions.Version:
    rows = [document(path, text, repository=repository) for (repository, path), text in version.items()]
    out = [
        dropped(path, why, repository=repo)
        for (repo, path), why in drops.items()
        if (repo, path) not in version
    ]
    return open_version(write_documents(folder, rows, out))


@pytest.mark.slow
@given(
    before=VERSION, after=VERSION, drops=st.tuples(DROPS, DROPS), rows_a_pass=st.sampled_from([1, 3, 1000])
)
@settings(max_examples=40, deadline=None)
def test_the_counts_of_any_two_versions_add_up(
    before: Version, after: Version, drops: tuple[Version, Version], rows_a_pass: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "ROWS_A_PASS", rows_a_pass)
        first = written(Path(folder, "a"), before, drops[0])
        second = written(Path(folder, "b"), after, drops[1])
        told, back, itself = diff(first, second), diff(second, first), diff(first, first)
    total = counts(told)
    assert total == expected(before, after)
    assert total["before"] - total["out"] + total["in"] == total["after"]
    for name in told["by"]:
        for kind in total:
            assert sum(row[kind]["documents"] for row in told["by"][name]) == total[kind]
    for side in ("out", "in"):
        assert sum(row["documents"] for row in told["reasons"][side]) == total[side]
    mirrored = counts(back)
    assert {**mirrored, "out": mirrored["in"], "in": mirrored["out"]} == {
        **total,
        "before": total["after"],
        "after": total["before"],
    }
    assert [back["reasons"]["in"], back["reasons"]["out"]] == [told["reasons"]["out"], told["reasons"]["in"]]
    assert not any(counts(itself)[kind] for kind in KINDS)


def test_the_manifest_is_what_is_read(tmp_path: Path) -> None:
    uri = write_documents(tmp_path, [document("a.py", "x\n")])
    (Path(uri) / "documents" / "stray.parquet").write_bytes(b"not listed")
    assert counts(diff(open_version(uri), open_version(uri)))["before"] == 1
    assert artifacts.load(uri).step == "documents"
