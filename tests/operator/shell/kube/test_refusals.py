"""What a real API server says of children that can never be made: a refusal that a person hears of, no outage."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_operator.shell.kube.answers import RefusedError, error_of
from daybreak_operator.shell.kube.client import connect
from tests.cluster.reach import Reach

CONTAINER = {"name": "pytorch", "image": "x"}
MISTAKES = [
    pytest.param({"toleration": []}, "field not declared in schema", id="a name that is misspelt"),
    pytest.param({"tolerations": "all"}, "expected list", id="a text for a list"),
    pytest.param({"tolerations": [{"seconds": 1}]}, "field not declared in schema", id="a misspelt part"),
    pytest.param({"containers": [CONTAINER, CONTAINER]}, "duplicate", id="a container twice"),
    pytest.param({"priority": "high"}, "priority", id="a text for a number"),
    pytest.param(
        {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "lots"}}}]},
        "quantities",
        id="a quantity",
    ),
    pytest.param(
        {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]},
        "must be less than or equal",
        id="more asked than allowed",
    ),
    pytest.param({"nodeSelector": {"a b": "c"}}, "nodeSelector", id="a label that can't be"),
    pytest.param({"volumes": [{"name": "Up", "emptyDir": {}}]}, "volumes", id="a name that can't be"),
]


@pytest.mark.parametrize(("part", "said"), MISTAKES)
def test_a_mistake_in_a_template_is_refused(cluster: Reach, part: dict[str, Any], said: str) -> None:
    namespace = cluster.namespace()
    kube = connect({}, str(cluster.kubeconfig))
    spec = {"restartPolicy": "Never", "containers": [CONTAINER], **part}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "first", "namespace": namespace},
        "spec": {"template": {"spec": spec}},
    }
    with pytest.raises(RefusedError, match=said):
        kube.apply(job, force=True)


@pytest.mark.parametrize(
    ("code", "message", "refused"),
    [
        (500, "failed to create typed patch object (a/b; batch/v1, Kind=Job): .spec.x: expected map", True),
        (500, 'admission webhook "policy.example" denied the request: no', True),
        (500, 'Internal error occurred: failed calling webhook "policy.example": connection refused', True),
        (500, "etcdserver: request timed out", False),
        (503, "the server is currently unable to handle the request", False),
        (504, "Timeout: request did not complete", False),
        (422, 'Job.batch "a" is invalid', True),
        (400, "strict decoding error: unknown field", True),
        (413, "Request entity too large", True),
        (401, "Unauthorized", False),
        (408, "timeout", False),
    ],
)
def test_a_refusal_is_told_from_an_outage(code: int, message: str, refused: bool) -> None:
    error = error_of(code, json.dumps({"message": message}).encode(), {})
    assert isinstance(error, RefusedError if refused else TransientError)
