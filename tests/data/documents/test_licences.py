"""Licences from files that are none of the documents to a column, to drops and to the choice between copies."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.licences.test_repositories import ISC, MIT

pytestmark = pytest.mark.usefixtures("spark")


@pytest.fixture
def sources(play: Any) -> list[dict[str, Any]]:
    """A directory, a wheel whose licence comes last, an archive whose licence comes last, and a Parquet file."""
    root, module = play.root, play.module
    code = root / "code"
    play.put(code / "mit" / "LICENSE", MIT)
    play.put(code / "mit" / "a.py", module(1))
    play.put(code / "mit" / "own.py", "# SPDX-License-Identifier: GPL-3.0-or-later\n" + module(2))
    play.put(code / "mit" / "vendor" / "isc" / "COPYING", ISC)
    play.put(code / "mit" / "vendor" / "isc" / "b.py", module(3))
    play.put(code / "mit" / "js" / "package.json", json.dumps({"name": "x", "license": "MIT OR Apache-2.0"}))
    play.put(code / "mit" / "js" / "c.py", module(4))
    play.put(code / "bare" / "d.py", module(5))
    with zipfile.ZipFile(root / "w-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("w/e.py", module(6))
        wheel.writestr(
            "w-1.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: w\nLicense-Expression: 0BSD\n\n"
        )
    with tarfile.open(root / "t.tgz", "w:gz") as archive:
        for name, text in (("t/f.py", module(7)), ("t/LICENSE", ISC)):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    columns = {
        "content": [module(8), module(9), MIT, module(5)],
        "path": ["g.py", "h.py", "LICENSE", "copy_of_d.py"],
        "repo": ["o/r", "o/r", "o/r", "o/r"],
        "licence": [["BSD-3-Clause"], [], [], []],
    }
    pq.write_table(pa.table(columns), root / "rows.parquet")
    parquet = {"uri": str(root / "rows.parquet"), "repositoryColumn": "repo", "licenceColumn": "licence"}
    return [
        play.directory("code"),
        {"name": "packed", "archives": {"uris": [str(root / "w-1.0-py3-none-any.whl"), str(root / "t.tgz")]}},
        {"name": "stack", "parquet": parquet},
    ]


def licences_of(play: Any, uri: str) -> dict[str, str]:
    return {row["path"]: row["licence"] for row in play.table(uri, "documents").to_pylist()}


FOUND = {
    "a.py": "MIT",
    "own.py": "GPL-3.0-or-later",
    "vendor/isc/b.py": "ISC",
    "js/c.py": "MIT OR Apache-2.0",
    "w/e.py": "0BSD",
    "t/f.py": "ISC",
    "g.py": "BSD-3-Clause",
    "h.py": "MIT",
    # Equal to d.py, whose repository says nothing: the one with a permissive licence is kept.
    "copy_of_d.py": "MIT",
}


def test_each_document_has_its_licence_and_a_manifest_chooses(
    play: Any, sources: list[dict[str, Any]]
) -> None:
    everything = play.run(*sources)
    assert licences_of(play, everything.uri) == FOUND
    chosen = play.run(*sources, data={"licences": {"allow": ["MIT", "ISC"], "deny": ["GPL-3.0-or-later"]}})
    wanted = {path for path, licence in FOUND.items() if licence in ("MIT", "ISC", "MIT OR Apache-2.0")}
    assert set(licences_of(play, chosen.uri)) == wanted
    drops = play.table(chosen.uri, "drops").to_pylist()
    dropped = {row["path"]: row["detail"] for row in drops if row["reason"] == "licence"}
    assert dropped == {path: licence for path, licence in FOUND.items() if path not in wanted}
    assert chosen.dropped["licence"] == len(dropped)
    ingested = [path for path in (play.root / "out" / "ingest").iterdir() if path.is_dir()]
    assert len(ingested) == len(sources)  # another choice reads no source again


def test_a_dropped_licence_takes_nobodys_place(play: Any, sources: list[dict[str, Any]]) -> None:
    """The copy of d.py with a licence is denied: the other one stays, for nothing is known of it."""
    found = licences_of(play, play.run(*sources, data={"licences": {"deny": ["MIT"]}}).uri)
    assert "copy_of_d.py" not in found
    assert found["d.py"] == "unknown"
    unknown = play.run(*sources, data={"licences": {"unknown": "Drop"}})
    assert "d.py" not in licences_of(play, unknown.uri)
