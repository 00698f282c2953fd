"""The examples are what our own command and a real API server take, and they fit each other and the chart."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daybreak_contracts import names
from daybreak_pipelines import cli
from tests.cluster.reach import Reach
from tests.packaging.render import CHART, MANIFESTS

FOLDER = MANIFESTS / "examples"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))
SECRET = FOLDER / "storage" / "s3-secret.yaml"
each = pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)


@each
def test_our_command_takes_it(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate", str(file)]) == 0
    assert "is valid" in capsys.readouterr().out


@each
def test_it_writes_no_null(file: Path) -> None:
    """The API server drops it, and Argo CD then sees a difference for ever."""
    for document in yaml.safe_load_all(file.read_text()):
        assert "null" not in yaml.safe_dump(document).split()


def test_argo_cd_is_told_to_ask_the_server_for_differences() -> None:
    applications = list(yaml.safe_load_all((MANIFESTS / "argocd" / "application.yaml").read_text()))
    assert len(applications) == 2
    for application in applications:
        assert (
            application["metadata"]["annotations"]["argocd.argoproj.io/compare-options"]
            == "ServerSideDiff=true"
        )


@each
def test_a_real_api_server_takes_it(file: Path, cluster: Reach) -> None:
    cluster.would_take(yaml.safe_load(file.read_text()))


def test_the_deployment_follows_the_run() -> None:
    run = yaml.safe_load((FOLDER / "cluster-run.yaml").read_text())
    deployment = yaml.safe_load((FOLDER / "cluster-completions.yaml").read_text())
    assert deployment["spec"]["model"]["trainingRunRef"]["name"] == run["metadata"]["name"]


def test_the_secret_holds_what_pods_read_and_nothing_that_looks_real(cluster: Reach) -> None:
    secret = yaml.safe_load(SECRET.read_text())
    assert set(secret["stringData"]) <= set(names.STORAGE_SECRET_KEYS)
    assert {key: value for key, value in secret["stringData"].items() if "KEY" in key} == {
        "AWS_ACCESS_KEY_ID": "replace-me",
        "AWS_SECRET_ACCESS_KEY": "replace-me",
    }
    cluster.would_take({**secret, "metadata": {**secret["metadata"], "namespace": "default"}})


def test_the_laptops_values_name_the_secret_of_the_examples() -> None:
    values = yaml.safe_load((CHART / "ci" / "dev-values.yaml").read_text())
    assert values["storage"]["secret"] == yaml.safe_load(SECRET.read_text())["metadata"]["name"]
