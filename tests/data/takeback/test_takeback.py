"""Documents taken back from artifacts of the room's own writers: only they go, and everything else stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import artifacts, names
from daybreak_contracts.errors import ArtifactError
from daybreak_contracts.resources.data import MixtureRow
from daybreak_contracts.resources.run import Exclusion
from daybreak_data.shards import mds
from daybreak_data.shards.mixture import Mixture
from daybreak_data.shards.plan import NO_MIXTURE
from daybreak_data.tables import reading
from daybreak_data.takeback import rewrite, tables, tokens
from daybreak_data.takeback.rule import TakeBackRule
from daybreak_train.objectives.protocol import fragments_of
from daybreak_train.replay.documents import documents_of
from tests.plugins.data_artifacts import (
    CONTEXT,
    cluster,
    document,
    dropped,
    tokenizer_json,
    write_documents,
    write_ingest,
    write_shards,
    write_tokenizer,
)

END, PAD = names.SPECIAL_TOKENS.index(names.END_OF_TEXT), names.SPECIAL_TOKENS.index(names.FIM_PAD)
TWICE = Mixture((MixtureRow(source="src", epochs="2"),))
GONE = TakeBackRule.of(Exclusion(repositories=("Acme/Secret",)))


def rows() -> list[dict[str, Any]]:
    return [
        document(
            f"src/m{i}.py",
            "".join(f"def f{i}_{j}(x):\n    return x * {i * j}\n" for j in range(i % 7 + 1)),
            repository=("acme/secret", "acme/open", "other/lib", "more/code", "even/more")[i % 5],
        )
        for i in range(60)
    ]


@pytest.fixture(
    params=[(NO_MIXTURE, "File"), (TWICE, "File"), (NO_MIXTURE, "Repository")],
    ids=["once", "twice", "repositories in one piece"],
)
def shards(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Shards of these documents; a mixture writes those to train on twice."""
    mixture, layout = request.param
    documents = write_documents(tmp_path, rows())
    tokenizer = write_tokenizer(tmp_path, tokenizer_json(row["text"] for row in rows()), documents)
    return write_shards(tmp_path, documents, tokenizer, mixture=mixture, layout=layout)


def samples_of(uri: str, side: str) -> np.ndarray[Any, Any]:
    """Return all samples as `streaming` reads them."""
    from streaming.base.format import reader_from_json

    folder = Path(uri, side)
    index = json.loads((folder / mds.INDEX_FILE).read_text())
    found = []
    for entry in index["shards"]:
        shard = reader_from_json(str(folder), None, entry)
        found += [shard[number]["tokens"] for number in range(shard.size)]
    return np.stack(found)


class TestShards:
    @pytest.mark.parametrize("side", ["train", "held_out"])
    def test_the_tokens_become_padding_and_all_others_stay(self, shards: str, side: str) -> None:
        before = samples_of(shards, side)
        parts = documents_of(shards, range(len(before)), side)
        expected = before.copy()
        for sample, some in parts.items():
            for part in some:
                if part.repository == "acme/secret":
                    piece = expected[sample, part.at : part.at + part.length]
                    piece[piece != END] = PAD
        counted = tokens.count(shards, GONE)
        assert counted[0] in (12, 24)
        assert tokens.blank(shards, GONE) == counted
        assert np.array_equal(samples_of(shards, side), expected)
        held = any(part.repository == "acme/secret" for some in parts.values() for part in some)
        assert (expected != before).any() == held

    def test_the_artifact_is_whole_and_names_the_documents_no_more(self, shards: str) -> None:
        before = artifacts.load(shards)
        tokens.blank(shards, GONE)
        after = artifacts.load(shards)
        artifacts.verify(shards, after)
        assert (after.digest, after.result) == (before.digest, before.result)
        assert after.content_digest != before.content_digest
        for side in ("train", "held_out"):
            index = json.loads(Path(shards, side, mds.INDEX_FILE).read_text())
            for entry in index["shards"]:
                data = Path(shards, side, entry["raw_data"]["basename"]).read_bytes()
                assert entry["raw_data"]["hashes"] == {"xxh64": xxhash.xxh64_hexdigest(data)}
        assert tokens.count(shards, GONE) == (0, 0)
        assert tokens.blank(shards, GONE) == (0, 0)
        assert artifacts.load(shards) == after

    def test_partitions_that_hold_none_are_not_touched(self, shards: str) -> None:
        before = artifacts.load(shards)
        assert tokens.blank(shards, TakeBackRule.of(Exclusion(repositories=("no/such",)))) == (0, 0)
        assert artifacts.load(shards) == before

    def test_a_shard_that_somebody_changed_is_refused(self, shards: str) -> None:
        for file in Path(shards).rglob("*.mds"):
            file.write_bytes(file.read_bytes()[:-1] + b"\1")
        with pytest.raises(ArtifactError, match="was changed after it was committed"):
            tokens.blank(shards, GONE)


class TestTables:
    def test_rows_of_all_tables_go_and_the_others_stay(self, tmp_path: Path) -> None:
        kept = document("copy.py", "same\n", repository="other/lib")
        copy = document("copy.py", "same\n", repository="acme/secret")
        drops = [dropped("a.min.js", "generated", repository="acme/secret"), dropped("b.min.js", "generated")]
        clusters = [cluster(kept, kept, kept=True), cluster(copy, kept, kept=False)]
        uri = write_documents(tmp_path, [*rows(), kept], drops, clusters=clusters)
        assert tables.num_copies(uri, GONE) == 1
        assert tables.take_rows(uri, GONE) == 12
        manifest = artifacts.load(uri)
        artifacts.verify(uri, manifest)
        left = {
            table: [
                row
                for file in reading.files_of(uri, manifest, table)
                for row in pq.read_table(file).to_pylist()
            ]
            for table in (reading.DOCUMENTS, reading.DROPS, reading.CLUSTERS)
        }
        wanted = sorted(row["path_id"] for row in [*rows(), kept] if row["repository"] != "acme/secret")
        assert sorted(row["path_id"] for row in left[reading.DOCUMENTS]) == wanted
        assert [row["path"] for row in left[reading.DROPS]] == ["b.min.js"]
        assert [row["repository"] for row in left[reading.CLUSTERS]] == ["other/lib"]
        assert all(row["text"] for row in left[reading.DOCUMENTS])

    def test_what_is_known_of_a_whole_repository_goes_by_its_name_alone(self, tmp_path: Path) -> None:
        uri = write_ingest(tmp_path, rows())

        def left() -> list[str]:
            (file,) = reading.files_of(uri, artifacts.load(uri), "licences")
            return [str(row["repository"]) for row in pq.read_table(file).to_pylist()]

        everything = left()
        tables.take_rows(uri, TakeBackRule.of(Exclusion(paths=("src/**", "*"))))
        assert left() == everything
        tables.take_rows(uri, GONE)
        assert left() == [name for name in everything if name != "acme/secret"]
        artifacts.verify(uri, artifacts.load(uri))

    @pytest.mark.parametrize(
        ("rule", "paths"),
        [
            pytest.param({"owners": ["ACME"]}, {"a.py", "x/b.pem"}, id="owner"),
            pytest.param({"paths": ["*.pem"]}, {"x/b.pem", "y/c.pem"}, id="path"),
            pytest.param(
                {"paths": ["y/**"], "repositories": ["acme/one"]}, {"a.py", "x/b.pem", "y/c.pem"}, id="any-of"
            ),
        ],
    )
    def test_a_rule_means_what_it_means_in_a_manifest(
        self, tmp_path: Path, rule: dict[str, list[str]], paths: set[str]
    ) -> None:
        some = [
            document("a.py", "a\n", repository="acme/one"),
            document("x/b.pem", "b\n", repository="acme/one"),
            document("y/c.pem", "c\n", repository="acmes/two"),
            document("d.py", "d\n", repository="solo"),
        ]
        uri = write_documents(tmp_path, some)
        found = tables.places_of(uri, TakeBackRule.of(Exclusion.model_validate(rule)))
        assert {row["path"] for row in some if row["path_id"] in found} == paths


def test_a_rewriting_that_was_stopped_is_made_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = write_documents(tmp_path, rows(), parts=1)
    before = artifacts.load(uri)
    path = "documents/part-00000.parquet"
    monkeypatch.setattr(rewrite, "_finish", lambda uri, manifest: None)
    rewrite.replace(uri, {path: b"new"})
    monkeypatch.undo()
    assert rewrite.is_unfinished(uri)
    with pytest.raises(ArtifactError):
        artifacts.verify(uri, before)
    rewrite.resume(uri)
    artifacts.verify(uri, artifacts.load(uri))
    assert not rewrite.is_unfinished(uri)


@given(
    st.lists(st.lists(st.integers(5, 9), max_size=6), max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_an_objective_sees_a_document_that_was_taken_back_as_empty(
    documents: list[list[int]], gone: list[bool]
) -> None:
    stream = [token for ids in documents for token in [*ids, END]]
    blanked = [
        token
        for ids, goes in zip(documents, gone, strict=False)
        for token in [*([PAD] * len(ids) if goes else ids), END]
    ]
    room = CONTEXT * 2 - len(stream)
    found = fragments_of(np.array(blanked + [PAD] * room, np.int64), END, PAD)
    assert found == [([] if goes else ids, True) for ids, goes in zip(documents, gone, strict=False)]
