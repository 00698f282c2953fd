"""What the chart's environment says of an installation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_operator.__main__ import main
from daybreak_operator.settings import Settings, from_environment

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_said_is_the_default() -> None:
    assert from_environment({}) == Settings()


def test_what_is_said_is_taken() -> None:
    found = from_environment(
        {
            "DAYBREAK_BACKEND": "KubeflowPipelines",
            "DAYBREAK_KUBEFLOW_URL": "http://ml-pipeline:8888",
            "DAYBREAK_KUBEFLOW_NAMESPACE": "kubeflow",
            "DAYBREAK_IMAGE_TRAIN": "r/train@sha256:1",
            "DAYBREAK_WATCH_NAMESPACES": "a,b",
        }
    )
    assert (found.backend, found.kubeflow_namespace, found.images.train, found.watch_namespaces) == (
        "KubeflowPipelines",
        "kubeflow",
        "r/train@sha256:1",
        ("a", "b"),
    )


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"DAYBREAK_BACKEND": "Argo"}, "DAYBREAK_BACKEND must be KubeflowPipelines or Job, got 'Argo'"),
        ({"DAYBREAK_BACKEND": "KubeflowPipelines"}, "DAYBREAK_KUBEFLOW_URL must be set"),
        ({"DAYBREAK_CLUSTER_SCOPE": "false"}, "DAYBREAK_WATCH_NAMESPACES must name namespaces"),
        ({"DAYBREAK_CLUSTER_SCOPE": "some"}, "DAYBREAK_CLUSTER_SCOPE must be true or false, got 'some'"),
    ],
    ids=["a back end that is none", "Kubeflow without an address", "Roles of no namespace", "neither"],
)
def test_what_cannot_work_is_told(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_environment(environment)


def test_help_names_every_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main({}, ["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    chart = (ROOT / "charts/daybreak/templates/deployment.yaml").read_text()
    variables = set(re.findall(r"name: (DAYBREAK_[A-Z_]+?)(?:_\{\{|[,}\n])", chart))
    assert len(variables) > 10
    assert {name for name in variables if name not in told} == set()
