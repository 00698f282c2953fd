"""A stand-in for the API of Kubeflow Pipelines 2.17, as it was observed: paths, codes, shapes, states, traps.

``exchanges.json`` beside it was recorded on a real back end; a test holds the two together. Its worst trap is here
too: the same run id posted again starts a second workflow and says 500.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = "/apis/v2beta1"
NEVER = "1970-01-01T00:00:00Z"
NOW = "2026-11-23T05:31:56Z"
ENDED = "2026-11-23T05:32:46Z"
ENDED_UNIX = 1795411966.0
FINAL = ("SUCCEEDED", "FAILED")
RUN_FIELDS = {
    "run_id", "experiment_id", "display_name", "pipeline_spec", "pipeline_version_reference", "runtime_config",
    "service_account", "description",
}  # fmt: skip


class Answer(Exception):  # noqa: N818 - an answer, not an error of ours
    """What a request is answered with, wherever it is found out."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status)
        self.status, self.body = status, body


def refusal(status: int, code: int, message: str) -> Answer:
    """An error as the back end tells it."""
    return Answer(status, {"error": message, "code": code, "message": message, "details": []})


@dataclass
class Fault:
    """What happens to the next request of a method instead of, or after, its work."""

    method: str
    kind: str
    """``before``: the connection breaks unheard; ``after``: it is heard, the answer is lost; ``hang``: heard, no
    answer until released; a number: that status, unheard."""


@dataclass
class BackEnd:
    """Everything the back end knows, and what it shall do wrong."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    workflows: dict[str, int] = field(default_factory=dict)
    """Run id to workflows that were ever started with its label: two are a disaster."""
    experiments: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def move(self, run_id: str, state: str | None) -> None:
        """Let a run reach a state."""
        run = self.runs[run_id]
        run["state_history"].append({"update_time": NOW, "state": state})
        if state is None:
            del run["state"]
            return
        run["state"] = state
        if state in FINAL:
            run["finished_at"] = ENDED

    def posts(self) -> int:
        """How many runs were posted."""
        return self.requests.count(("POST", f"{ROOT}/runs"))

    def handle(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Answer:
        """Answer a request that was heard."""
        for pattern, name in ROUTES:
            found = re.fullmatch(ROOT + pattern, path)
            if found and name.startswith(method.lower()):
                try:
                    return Answer(200, getattr(self, f"_{name}")(*found.groups(), query, body))
                except Answer as answer:
                    return answer
        return Answer(404, {"code": 5, "message": "Not Found", "details": []})

    def _get_health(self, query: Any, body: Any) -> dict[str, Any]:
        return {
            "commit_sha": "unknown",
            "tag_name": "unknown",
            "multi_user": False,
            "pipeline_store": "database",
        }

    def _get_experiments(self, query: dict[str, list[str]], body: Any) -> dict[str, Any]:
        (predicate,) = json.loads(query["filter"][0])["predicates"]
        if predicate["operation"] != 1 or predicate["key"] != "display_name":
            raise refusal(400, 3, "Invalid filter")
        found = [
            experiment
            for experiment in self.experiments.values()
            if experiment["display_name"] == predicate["stringValue"]
            and experiment.get("namespace", "") == query.get("namespace", [""])[0]
        ]
        return {"experiments": found, "total_size": len(found)} if found else {}

    def _post_experiments(self, query: Any, body: dict[str, Any]) -> dict[str, Any]:
        profile = {"namespace": body["namespace"]} if body.get("namespace") else {}
        if any(
            (known["display_name"], known.get("namespace", ""))
            == (body["display_name"], body.get("namespace", ""))
            for known in self.experiments.values()
        ):
            raise refusal(409, 6, f"Already exist error: experiment {body['display_name']}")
        experiment = {
            "experiment_id": str(uuid.uuid4()),
            "display_name": body["display_name"],
            "created_at": NOW,
            "storage_state": "AVAILABLE",
            "last_run_created_at": NEVER,
            **profile,
        }
        self.experiments[experiment["experiment_id"]] = experiment
        return experiment

    def _post_runs(self, query: Any, body: dict[str, Any]) -> dict[str, Any]:
        unknown = set(body) - RUN_FIELDS
        if unknown:
            raise refusal(400, 3, f"unknown field {sorted(unknown)[0]!r}")
        if body.get("experiment_id") not in self.experiments:
            raise refusal(404, 5, f"Failed to create a run: Experiment {body.get('experiment_id')} not found")
        spec = body.get("pipeline_spec") or {}
        if "deploymentSpec" not in spec.get("pipeline_spec", spec) or not body.get("display_name"):
            raise refusal(
                500, 13, "Internal Server Error: failed to generate a workflow: invalid pipeline spec"
            )
        inputs = spec.get("pipeline_spec", spec)["root"]["inputDefinitions"]["parameters"]
        wrong = set(body["runtime_config"]["parameters"]) - set(inputs)
        if wrong:
            raise refusal(400, 3, f"parameter {sorted(wrong)[0]} is not defined")
        run_id = body.get("run_id") or str(uuid.uuid4())
        self.workflows[run_id] = self.workflows.get(run_id, 0) + 1  # before the data base is asked
        if run_id in self.runs:
            raise refusal(500, 13, f"Internal Server Error: Duplicate entry '{run_id}' for key 'PRIMARY'")
        self.runs[run_id] = {
            "experiment_id": body["experiment_id"],
            "run_id": run_id,
            "display_name": body["display_name"],
            "storage_state": "AVAILABLE",
            "pipeline_spec": spec,
            "runtime_config": body["runtime_config"],
            "service_account": body.get("service_account") or "pipeline-runner",
            "created_at": NOW,
            "scheduled_at": NOW,
            "finished_at": NEVER,
            "state": "PENDING",
            "state_history": [{"update_time": NOW, "state": "PENDING"}],
        }
        return self.runs[run_id]

    def _get_run(self, run_id: str, query: Any, body: Any) -> dict[str, Any]:
        if run_id not in self.runs:
            raise refusal(404, 5, f"Failed to get a run: ResourceNotFoundError: Run {run_id} not found.")
        return self.runs[run_id]

    def _post_terminate(self, run_id: str, query: Any, body: Any) -> dict[str, Any]:
        run = self._get_run(run_id, query, body)
        if run.get("state") in (*FINAL, "CANCELING"):
            raise refusal(
                400, 3, f"Failed to terminate run {run_id}: it is not in a state that can be terminated"
            )
        if self.workflows[run_id] == 0:
            raise refusal(500, 13, f"Failed to terminate run {run_id}: workflow not found")
        self.move(run_id, "CANCELING")
        return {}


ROUTES = (
    ("/healthz", "get_health"),
    ("/experiments", "get_experiments"),
    ("/experiments", "post_experiments"),
    ("/runs", "post_runs"),
    (r"/runs/([^/:]+)", "get_run"),
    (r"/runs/([^/:]+):terminate", "post_terminate"),
)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._meet("GET")

    def do_POST(self) -> None:
        self._meet("POST")

    def _meet(self, method: str) -> None:
        back_end, address = self.server.back_end, urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        back_end.requests.append((method, address.path))
        back_end.headers.append(dict(self.headers))
        fault = next((known for known in back_end.faults if known.method == method), None)
        if fault is not None:
            back_end.faults.remove(fault)
            if fault.kind.isdigit():
                self._say(refusal(int(fault.kind), 14, "Unavailable"))
                return
            if fault.kind == "before":
                self.connection.close()
                return
        query = parse_qs(address.query, keep_blank_values=True)
        answer = back_end.handle(method, address.path, query, body)
        if fault is not None:
            if fault.kind == "hang":
                back_end.released.wait(60)
            self.connection.close()
            return
        self._say(answer)

    def _say(self, answer: Answer) -> None:
        text = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, back_end: BackEnd) -> None:
        self.back_end = back_end
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that we closed ourselves is no news."""


@contextmanager
def serve() -> Iterator[BackEnd]:
    """Serve until the body ends."""
    back_end = BackEnd()
    server = _Server(back_end)
    back_end.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield back_end
    finally:
        back_end.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
