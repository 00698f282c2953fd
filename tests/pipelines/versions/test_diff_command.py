"""The command over outputs on disk: which artifacts it takes, what it prints, writes and records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_pipelines.cli import main
from daybreak_pipelines.local import record
from daybreak_pipelines.versions.locate import documents_and_shards
from tests.plugins.data_artifacts import (
    document,
    tokenizer_json,
    write_documents,
    write_shards,
    write_tokenizer,
)


@pytest.fixture
def outputs(tmp_path: Path) -> tuple[Path, Path]:
    rows = [document(f"m{i}.py", f"value_{i} = {i}\n", repository=f"r/{i}") for i in range(6)]
    rows[0] = document("<b>.py", "<script>\n", repository="r/0")
    for name, some in (("a", rows), ("b", rows[1:])):
        write_documents(tmp_path / name, some)
    return tmp_path / "a", tmp_path / "b"


def test_it_says_what_differs_and_writes_the_page(
    outputs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "diff.html"
    assert main(["diff", str(outputs[0]), str(outputs[1]), "--page", str(page)]) == 0
    said = capsys.readouterr().out
    assert "6 documents before, 5 after: 1 out, 0 in, 0 changed, 0 moved." in said
    assert "language python: 6 -> 5" in said
    assert "&lt;script&gt;" in page.read_text()
    assert "<script>" not in page.read_text()


@pytest.mark.slow
def test_json_is_one_object_and_a_local_record_holds_the_page(
    outputs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["diff", *map(str, outputs), "--page", str(tmp_path / "d.html"), "--json", "--track"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["total"]["out"]["documents"] == 1
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("daybreak diff")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["out_documents"] == 1
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["d.html"]


class TestWhichArtifacts:
    def test_a_folder_itself_and_the_shards_made_of_it(self, tmp_path: Path) -> None:
        rows = [document(f"m{i}.py", f"value_{i} = {i}\n", repository=f"r/{i}") for i in range(4)]
        documents = write_documents(tmp_path, rows)
        tokenizer = write_tokenizer(tmp_path, tokenizer_json(row["text"] for row in rows), documents)
        shards = write_shards(tmp_path, documents, tokenizer)
        assert documents_and_shards(documents) == (documents, shards)
        assert documents_and_shards(str(tmp_path)) == (documents, shards)

    def test_of_several_the_one_that_the_record_names(self, outputs: tuple[Path, Path]) -> None:
        output = outputs[0]
        wanted = write_documents(output, [document("z.py", "z\n")])
        with pytest.raises(UserError, match="holds several documents artifacts, name one: "):
            documents_and_shards(str(output))
        from daybreak_contracts import artifacts

        results = {"documents": {"digest": artifacts.load(wanted).digest}}
        record.write(str(output), record.RunRecord(name="r", model=None, results=results, seconds={}))
        assert documents_and_shards(str(output))[0] == wanted

    def test_nothing_there_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="no documents here: run `daybreak data MANIFEST`"):
            documents_and_shards(str(tmp_path / "none"))
