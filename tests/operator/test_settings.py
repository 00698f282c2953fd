"""What the chart's environment says of an installation."""

from __future__ import annotations

import pytest

from daybreak_contracts.errors import UserError
from daybreak_operator.settings import Settings, from_environment


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
    ],
    ids=["a back end that is none", "Kubeflow without an address"],
)
def test_what_cannot_work_is_told(environment: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        from_environment(environment)
