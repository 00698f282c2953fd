"""What a real API server says of children that can never be made: a refusal that a person hears of, no outage."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from kubernetes.client import Configuration

from daybreak_contracts.errors import TransientError
from daybreak_operator.shell.kube.answers import BusyError, NamespaceLeavesError, RefusedError, error_of
from daybreak_operator.shell.kube.client import Kube, connect
from daybreak_operator.shell.kube.resources import NODES
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


def test_a_namespace_that_goes_is_no_refusal() -> None:
    """As 1.34 says it; somebody who may not write there hears only Forbidden."""
    status = {
        "message": 'configmaps "a" is forbidden: unable to create new content in namespace x',
        "reason": "Forbidden",
        "details": {
            "causes": [{"reason": "NamespaceTerminating", "message": "x", "field": "metadata.namespace"}]
        },
    }
    assert isinstance(error_of(403, json.dumps(status).encode(), {}), NamespaceLeavesError)
    del status["details"]
    assert isinstance(error_of(403, json.dumps(status).encode(), {}), RefusedError)


@pytest.fixture
def overloaded() -> Iterator[str]:
    """An API server that sheds load, as priority and fairness does it: 429 with the seconds to wait."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.rpartition("/")[2]))
            self.send_header("Retry-After", "7")
            self.end_headers()
            self.wfile.write(b'{"message": "too many requests"}')

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_how_long_a_busy_server_asks_to_wait_is_heard(overloaded: str) -> None:
    configuration = Configuration()
    configuration.host = overloaded
    kube = Kube(configuration)
    with pytest.raises(BusyError, match="too many requests") as busy:
        kube.get(NODES, None, "429")
    assert busy.value.retry_after_s == 7
    with pytest.raises(TransientError, match=r"too many requests \(HTTP 503\)"):
        kube.get(NODES, None, "503")
