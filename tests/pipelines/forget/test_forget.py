"""The command over whole outputs: what it lists, what it mends, and that a kill at any write changes nothing."""

from __future__ import annotations

import json
import shutil
import stat
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_data.documents import forgotten
from daybreak_pipelines.cli import main
from daybreak_pipelines.forget import command, deployments
from daybreak_pipelines.forget.command import Request, forget, rule_of
from tests.plugins.data_artifacts import (
    document,
    tokenizer_json,
    write_documents,
    write_ingest,
    write_made,
    write_shards,
    write_tokenizer,
)

SECRET = "acme/secret"
RULE = rule_of({"repositories": [SECRET]})


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A finished run: data of three repositories, a training, its checkpoints, an exported model, its scores."""
    rows = [
        document(
            f"m{i}.py", f"def f{i}(x):\n    return x + {i}\n" * 2, repository=(SECRET, "o/p", "q/r")[i % 3]
        )
        for i in range(18)
    ]
    place = tmp_path / "run"
    write_ingest(place, rows)
    documents = write_documents(place, rows)
    tokenizer = write_tokenizer(place, tokenizer_json(row["text"] for row in rows), documents)
    shards = write_shards(place, documents, tokenizer)
    trained = write_made(place, names.STEP_TRAIN, shards, tokenizer)
    exported = write_made(place, names.STEP_EXPORT, trained, tokenizer)
    write_made(place, names.STEP_EVALUATE, exported)
    write_made(place, names.STEP_XRAY, documents)
    folder = place / "checkpoints" / ("c" * 16)
    folder.mkdir(parents=True)
    (folder / "training.json").write_text(json.dumps({"digest": "c" * 64, "args": {"shards": shards}}))
    (place / ".work" / "shard-cache" / artifacts.load(shards).digest[:16]).mkdir(parents=True)
    (place / "shards" / ".parts-0123").mkdir()
    (place / "shards" / ".parts-0123" / "part").write_text("left by a step that was stopped")
    return place


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def asked(*, yes: bool = True, dry_run: bool = False) -> Request:
    return Request(RULE, dry_run, yes, None)


def run(output: Path, **options: bool) -> list[str]:
    said: list[str] = []
    assert forget([str(output)], asked(**options), lambda: "2030-01-01T00:00:00+00:00", said.append) == 0
    return said


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_a_dry_run_lists_every_holder_and_changes_nothing(output: Path) -> None:
    before = tree(output)
    said = "\n".join(run(output, yes=False, dry_run=True))
    for step in (
        "ingest",
        "documents",
        "tokenizer",
        "shards",
        "train",
        "export",
        "evaluate",
        "xray",
        "checkpoints",
    ):
        assert f"  {step} {step}/" in said
    assert "documents, " in said
    assert "cannot be mended without training again" in said
    assert "deployments: not asked (no kubectl here)" in said
    assert tree(output) == before


def test_without_a_yes_nothing_is_done(output: Path) -> None:
    before = tree(output)
    with pytest.raises(UserError, match="nothing was done: --yes"):
        run(output, yes=False)
    assert {name for name in tree(output) if not name.startswith(".work")} == {
        name for name in before if not name.startswith(".work")
    }


@pytest.mark.slow
def test_everything_that_can_be_mended_is_and_the_rest_is_said(output: Path) -> None:
    said = run(output)
    assert said[-1] == f"  exclude: {{repositories: ['{SECRET}']}}"
    left = tree(output)
    for name, data in left.items():
        if name.endswith(".parquet"):
            import pyarrow.parquet as pq

            assert SECRET not in pq.read_table(output / name).column("repository").to_pylist()
        assert not name.startswith(("shards/.parts", ".work/shard-cache")), data
    for step in ("ingest", "documents", "shards", "tokenizer"):
        (folder,) = (output / step).iterdir()
        artifacts.verify(str(folder), artifacts.load(str(folder)))
    (record,) = (output / "forgotten").iterdir()
    told = json.loads(record.read_text())
    assert (told["begun"], told["ended"]) == ("2030-01-01T00:00:00+00:00",) * 2
    mended = [one for one in told["holders"] if one["step"] in ("ingest", "documents", "shards")]
    assert len(mended) == 3
    assert all(one["before"] != one["after"] and one["after"] for one in mended)
    assert all(one["documents"] == 6 for one in mended)
    for step in ("train", "export", "checkpoints"):
        (folder,) = (output / step).iterdir()
        (entry,) = json.loads((folder / "forgotten.json").read_text())
        assert entry["rule"] == {"repositories": [SECRET]}
        assert "cannot be mended without training again" in entry["said"]


@pytest.mark.slow
def test_again_it_finds_nothing_more_to_do(output: Path) -> None:
    run(output)
    before = tree(output)
    said = "\n".join(run(output))
    assert tree(output) == before
    assert "was trained on it" in said


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.mark.slow
def test_killed_at_any_write_the_same_command_ends_in_the_same_state(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = tmp_path / "fresh"
    shutil.copytree(output, fresh)
    run(output)
    expected = tree(output)
    genuine, genuine_remove = storage.write_bytes, storage.remove_file
    left = 0

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    def write(uri: str, data: bytes) -> None:
        step()
        genuine(uri, data)

    def remove(uri: str) -> None:
        step()
        genuine_remove(uri)

    kills, allowed = 0, 0
    while True:
        shutil.rmtree(output)
        shutil.copytree(fresh, output)
        left = allowed
        with monkeypatch.context() as patch:
            patch.setattr(storage, "write_bytes", write)
            patch.setattr(storage, "remove_file", remove)
            try:
                run(output)
                break
            except Killed:
                kills += 1
        run(output)
        assert tree(output) == expected, f"killed at write {allowed}"
        allowed += 1
    assert kills > 20


@pytest.mark.slow
def test_later_runs_obey_the_list(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from daybreak_contracts.steps import DocumentsArgs
    from daybreak_data.documents import ingest, step

    run(output)
    source = output.parent / "src"
    (source / "kept").mkdir(parents=True)
    (source / "kept" / "a.py").write_text("a = 1\n")
    data = {
        "sources": [{"name": "here", "directory": {"path": str(source)}}],
        "languages": ["python"],
        "exclude": {"owners": ["someone"]},
    }
    args = DocumentsArgs.model_validate(
        {"output": str(output), "work_dir": str(output / ".work"), "data": data}
    )
    obeyed = forgotten.obeyed(args).data.exclude
    assert (obeyed.repositories, obeyed.owners) == ((SECRET,), ("someone",))
    seen: list[Any] = []

    def digest_of(args: DocumentsArgs, *rest: Any) -> str:
        seen.append(args.data.exclude.repositories)
        raise Killed

    monkeypatch.setattr(step, "open_session", lambda *_: nullcontext())  # Spark is not asked until then
    monkeypatch.setattr(ingest, "digest_of", digest_of)
    with pytest.raises(Killed):
        step.run_documents(args, Progress("test"))
    assert seen == [(SECRET,)]


def test_a_list_that_cannot_be_read_stops_the_run(output: Path) -> None:
    (output / forgotten.FILE).write_text('{"repos": ["x/y"]}\n')
    with pytest.raises(UserError, match=r"forgotten\.jsonl: line 1 is no rule as in data\.exclude"):
        forgotten.read(str(output))


def test_a_document_is_forgotten_by_its_id_in_the_shards_too(output: Path) -> None:
    row = document("m3.py", "def f3(x):\n    return x + 3\n" * 2, repository=SECRET)
    said: list[str] = []
    request = Request(rule_of({"documentIds": [row["document_id"]]}), False, True, None)
    assert forget([str(output)], request, lambda: "now", said.append) == 0
    (record,) = (output / "forgotten").iterdir()
    counts = {one["step"]: one["documents"] for one in json.loads(record.read_text())["holders"]}
    assert [counts[step] for step in ("ingest", "documents", "shards")] == [1, 1, 1]


def test_a_model_folder_elsewhere_is_named_by_its_data(output: Path, tmp_path: Path) -> None:
    (shards,) = (output / "shards").glob("[!.]*")
    folder = write_made(tmp_path / "elsewhere", names.STEP_EXPORT, str(shards))
    said: list[str] = []
    assert forget([str(output), folder], asked(), lambda: "now", said.append) == 0
    assert any(line.startswith("  export") and folder in line for line in said)
    assert (Path(folder) / "forgotten.json").exists()


def test_the_command_line_names_what_is_missing(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forget", str(output)]) == 2
    assert "name what to forget: --repository" in capsys.readouterr().err
    assert main(["forget", "--document-id", "abc", str(output)]) == 2
    assert "abc: " in capsys.readouterr().err
    assert main(["forget", "--repository", SECRET, "--dry-run", str(output)]) == 0


class TestDeployments:
    OBJECTS = (
        {"metadata": {"namespace": "a", "name": "pinned"}, "spec": {"model": {"digest": "d1"}}},
        {
            "metadata": {"namespace": "a", "name": "follows"},
            "spec": {},
            "status": {"stable": {"digest": "d1"}},
        },
        {
            "metadata": {"namespace": "a", "name": "refused"},
            "spec": {},
            "status": {"rejected": [{"digest": "d1"}]},
        },
        {
            "metadata": {"namespace": "b", "name": "other"},
            "spec": {"model": {"digest": "d2"}},
            "status": None,
        },
    )

    def test_those_that_serve_the_model_are_named(self) -> None:
        assert deployments.holding([*self.OBJECTS], {"d1"}) == ["a/follows", "a/pinned"]

    def test_kubectl_is_asked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = tmp_path / "kubectl"
        program.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps({'items': [*self.OBJECTS]})}\nE\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert deployments.serving({"d2"}, "file") == (["b/other"], "")

    def test_a_cluster_that_does_not_answer_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "kubectl"
        program.write_text("#!/bin/sh\necho 'error: no configuration' >&2\nexit 1\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert deployments.serving({"d2"}, None) == ([], "error: no configuration")


def test_the_order_of_mending_is_that_of_the_lookup() -> None:
    assert command.holders.MENDED == ("shards", "documents", "ingest")
