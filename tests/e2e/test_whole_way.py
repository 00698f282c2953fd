"""From `kubectl apply` to a completion, on a real node: data, two training pods, judge, Triton, switches, a way back.

One play in order: each test goes on where the one before it ended.
"""

from __future__ import annotations

import itertools
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import names
from tests.cluster.reach import wait_for
from tests.e2e import installation
from tests.e2e.cluster import NODE, ZONE, NodeCluster
from tests.e2e.installation import ACCELERATOR, PACKAGES, OperatorProcess

pytestmark = pytest.mark.slow
WITHIN_S = 900.0
SOAK_S = 5
STEPS = ("documents", "xray", "tokenizer", "shards", "train", "export", "evaluate")


@dataclass
class Play:
    """The stage of the whole play."""

    cluster: NodeCluster
    operator: OperatorProcess
    namespace: str

    def status(self, kind: str, name: str) -> dict[str, Any]:
        """Return an object's status, empty before the first."""
        found = self.cluster.get(kind, name, self.namespace) or {}
        status: dict[str, Any] = found.get("status") or {}
        return status

    def condition(self, kind: str, name: str, wanted: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition."""
        for condition in self.status(kind, name).get("conditions") or []:
            if condition["type"] == wanted:
                return condition["status"], condition["reason"], condition["message"]
        return "Unknown", "", ""

    def pods(self, role: str) -> list[dict[str, Any]]:
        """Return the pods of a role that are not on their way out."""
        selector = f"{names.LABEL_ROLE}={role}"
        text = self.cluster.kubectl("get", "pods", "-n", self.namespace, "-l", selector, "-o", "json")
        return [pod for pod in json.loads(text)["items"] if not pod["metadata"].get("deletionTimestamp")]

    def patch(self, kind: str, name: str, change: dict[str, Any]) -> None:
        """Change an object as a person would."""
        self.cluster.kubectl(
            "patch", kind, name, "-n", self.namespace, "--type=merge", "-p", json.dumps(change)
        )


@pytest.fixture(scope="module")
def play(node_cluster: NodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    installation.add_images(node_cluster)
    node_cluster.kubectl("label", "node", NODE, f"{names.LABEL_ACCELERATOR}={ACCELERATOR}", "--overwrite")
    node_cluster.kubectl("create", "namespace", installation.OPERATOR_NAMESPACE)
    operator = OperatorProcess(node_cluster, tmp_path_factory.mktemp("operator") / "log.jsonl")
    with installation.storage() as variables:
        namespace = installation.prepare_namespace(node_cluster, variables)
        operator.start()
        yield Play(node_cluster, operator, namespace)
        kept = os.environ.get("DAYBREAK_E2E_KEEP")
        if kept:
            installation.tell_all(node_cluster, namespace, Path(kept))
            (Path(kept) / "operator.jsonl").write_bytes(operator.log.read_bytes())
        operator.stop()


def run_named(name: str, tokens: int) -> dict[str, Any]:
    """A run that takes minutes on two cores. Only training differs, so a second one finds its data done."""
    archives = [f"s3://code/{package}.tar.gz" for package in PACKAGES]
    custom = {"hiddenSize": 64, "layers": 2, "heads": 4, "keyValueHeads": 2, "intermediateSize": 128}
    spec = {
        "output": {"uri": "s3://models/tiny"},
        "data": {"sources": [{"name": "library", "archives": {"uris": archives}}], "languages": ["python"]},
        "tokenizer": {"train": {"vocabularySize": 1024, "sampleBytes": 4_000_000}},
        "model": {"custom": custom},
        "training": {
            "objective": {"fillInTheMiddle": {}},
            "tokens": tokens,
            "contextLength": 256,
            "nodes": 2,
            "gpusPerNode": 0,
            "checkpoint": {"everySeconds": 2},
        },
        "evaluation": {
            "suites": [{"name": "HumanEval", "maxTasks": 10}, {"name": "HeldOutCompletion", "maxTasks": 10}]
        },
    }
    return {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "metadata": {"name": name}, "spec": spec}


def deployment_of(run: str) -> dict[str, Any]:
    """A deployment on the one node that there is."""
    spec = {
        "model": {"trainingRunRef": {"name": run}},
        "replicas": 1,
        "pools": [{"name": "cpu", "accelerator": ACCELERATOR, "gpus": 0, "zones": [ZONE], "max": 3}],
        "rollout": {"everyone": True, "ramp": [50, 100], "soakSeconds": SOAK_S, "guardrails": GUARDRAILS},
        "gateway": {"replicas": 1, "holdMs": 5000, "maxNewTokens": 8},
    }
    metadata = {"name": "completions"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": metadata,
        "spec": spec,
    }


GUARDRAILS = {"minRequests": 10, "maxP95LatencyMs": 60_000}
"""Two cores do everything here at once: how fast they answer is not what is tried."""


def applied(play: Play, thing: dict[str, Any]) -> None:
    play.cluster.apply({**thing, "metadata": {**thing["metadata"], "namespace": play.namespace}})


def finished(play: Play, run: str) -> Callable[[], bool]:
    def look() -> bool:
        stalled, _, message = play.condition("tr", run, "Stalled")
        assert stalled != "True", message
        return play.condition("tr", run, "Finished")[0] == "True"

    return look


def ask(play: Play, user: str, groups: str = "") -> tuple[int, dict[str, Any]]:
    """Ask the gateway through its Service; return HTTP status and answer."""
    service = play.cluster.get("service", names.gateway_name("completions"), play.namespace)
    assert service is not None
    body = {"prompt": "def read(path):\n    ", "max_tokens": 4, "user": user}
    headers = {"Content-Type": "application/json", "X-Daybreak-User": user, "X-Daybreak-Groups": groups}
    url = f"http://{service['spec']['clusterIP']}/v1/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def model_for(play: Play, user: str, groups: str = "") -> str | None:
    """Return the short digest of the model that answered a user; None when nobody answered."""
    status, answer = ask(play, user, groups)
    return str(answer["system_fingerprint"]) if status == 200 else None


def digest_of(play: Play, run: str) -> str:
    return str(play.status("tr", run)["model"]["digest"])


def test_a_run_comes_to_its_end_though_a_training_pod_and_the_operator_are_killed(play: Play) -> None:
    applied(play, run_named("tiny", 2_000_000))

    def trains() -> bool:
        finished(play, "tiny")()
        return len(play.pods(names.ROLE_TRAINING)) == 2 and any(
            metric["name"] == "loss" for metric in play.status("tr", "tiny").get("metrics") or []
        )

    wait_for("two pods that train, and a loss in the status", trains, WITHIN_S)
    play.operator.kill()
    victim = next(pod for pod in play.pods(names.ROLE_TRAINING) if "worker" in str(pod["metadata"]["name"]))
    play.cluster.kubectl(
        "delete", "pod", victim["metadata"]["name"], "-n", play.namespace, "--grace-period=0", "--force"
    )
    play.operator.start()
    wait_for("the end of the run", finished(play, "tiny"), WITHIN_S)
    status = play.status("tr", "tiny")
    assert play.condition("tr", "tiny", "Succeeded")[0] == "True", status
    assert status["restarts"] >= 1
    assert {step["name"]: step["state"] for step in status["steps"]} == dict.fromkeys(STEPS, "Succeeded")
    assert status["model"]["uri"].startswith("s3://models/tiny/export/")


def test_its_model_answers_everyone(play: Play) -> None:
    applied(play, deployment_of("tiny"))
    wait_for(
        "a deployment that is ready",
        lambda: play.condition("md", "completions", "Ready")[0] == "True",
        WITHIN_S,
    )
    wait_for("an answer", lambda: ask(play, "anyone")[0] == 200, 120)
    status, answer = ask(play, "anyone")
    assert (status, answer["object"]) == (200, "text_completion")


def test_a_second_run_finds_its_data_done_and_its_model_waits_for_the_switches(play: Play) -> None:
    play.patch("md", "completions", {"spec": {"rollout": {"everyone": False}}})
    applied(play, run_named("tiny-again", 400_000))
    wait_for("the end of the second run", finished(play, "tiny-again"), WITHIN_S)
    states = {step["name"]: step["state"] for step in play.status("tr", "tiny-again")["steps"]}
    assert {name: states[name] for name in ("documents", "tokenizer", "shards")} == {
        "documents": "Skipped",
        "tokenizer": "Skipped",
        "shards": "Skipped",
    }
    play.patch("md", "completions", {"spec": {"model": {"trainingRunRef": {"name": "tiny-again"}}}})
    wait_for("a warm candidate", lambda: stage(play) == "Warm", WITHIN_S)
    assert model_for(play, "anyone", "staff") == model_for(play, "anyone")


def stage(play: Play) -> str:
    return str((play.status("md", "completions").get("candidate") or {}).get("stage", ""))


def test_the_staff_switch_reaches_staff_and_nobody_else(play: Play) -> None:
    old = model_for(play, "anyone")
    play.patch("md", "completions", {"spec": {"rollout": {"staff": True}}})
    wait_for("another model for staff", lambda: model_for(play, "boss", "staff") not in (None, old), 60)
    assert model_for(play, "boss", "staff") == names.short(digest_of(play, "tiny-again"))
    assert {model_for(play, f"user-{index}") for index in range(20)} == {old}


def test_a_switch_turned_off_takes_staff_back(play: Play) -> None:
    old = model_for(play, "anyone")
    play.patch("md", "completions", {"spec": {"rollout": {"staff": False}}})
    wait_for("the old model for staff", lambda: model_for(play, "boss", "staff") == old, 60)
    assert play.condition("md", "completions", "Ready")[0] == "True"


def test_the_switch_for_everyone_ramps_and_nobody_flips_back(play: Play) -> None:
    users = [f"user-{index}" for index in range(10)]
    old = model_for(play, users[0])
    target = digest_of(play, "tiny-again")
    # what was taken back is rejected until the rollout's spec changes: turning switches is such a change
    play.patch("md", "completions", {"spec": {"rollout": {"staff": True, "everyone": True}}})
    moved: set[str] = set()
    deadline = time.monotonic() + WITHIN_S
    for user in itertools.cycle(users):
        answered = model_for(play, user)
        assert answered is not None, "a request was lost"
        if answered != old:
            moved.add(user)
        else:
            assert user not in moved, f"{user} flipped back"
        if (play.status("md", "completions").get("stable") or {}).get("digest") == target:
            break
        assert time.monotonic() < deadline, play.status("md", "completions")
    assert {model_for(play, user) for user in users}.isdisjoint({old, None})


def test_deleting_both_leaves_nothing_but_what_was_made(play: Play) -> None:
    play.cluster.kubectl("delete", "md,tr", "--all", "-n", play.namespace, "--wait=true", "--timeout=120s")
    selector = names.LABEL_OWNER_KIND

    def gone() -> bool:
        kinds = "pods,jobs,pytorchjobs,deployments,services,configmaps,roles,rolebindings"
        left = play.cluster.kubectl("get", kinds, "-n", play.namespace, "-l", selector, "-o", "name")
        return not left.strip()

    wait_for("children gone", gone, 180)
