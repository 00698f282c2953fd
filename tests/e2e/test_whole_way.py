"""From `kubectl apply` to a completion, on a real node: data, two training pods, judge, Triton, switches, a way back.

One play in order: each test goes on where the one before it ended.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from tests.cluster.reach import wait_for
from tests.e2e.installation import PACKAGES
from tests.e2e.plays import WITHIN_S, Play, deployment_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * WITHIN_S)]  # each wait in it has its own bound
SOAK_S = 5
STEPS = ("documents", "xray", "tokenizer", "shards", "train", "export", "evaluate")


def run_named(name: str, tokens: int, launcher: str) -> dict[str, Any]:
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
            "launcher": launcher,
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


def finished(play: Play, run: str) -> Callable[[], bool]:
    def look() -> bool:
        stalled, _, message = play.condition("trun", run, "Stalled")
        assert stalled != "True", message
        return play.condition("trun", run, "Finished")[0] == "True"

    return look


def model_for(play: Play, user: str, groups: str = "") -> str | None:
    return play.model_for("completions", user, groups)


def digest_of(play: Play, run: str) -> str:
    return str(play.status("trun", run)["model"]["digest"])


def test_a_run_comes_to_its_end_though_a_training_pod_and_the_operator_are_killed(play: Play) -> None:
    play.apply(run_named("tiny", 2_000_000, "PyTorchJob"))

    def trains() -> TrainerSnapshot | None:
        finished(play, "tiny")()
        snapshot = play.trainer()
        is_seen = any(metric["name"] == "loss" for metric in play.status("trun", "tiny").get("metrics") or [])
        is_kept = snapshot is not None and snapshot.checkpoint_step > 0
        return snapshot if is_seen and is_kept and len(play.pods(names.ROLE_TRAINING)) == 2 else None

    kept = wait_for(
        "two pods that train, a loss in the status, a checkpoint", trains, WITHIN_S
    ).checkpoint_step
    play.operator.kill()
    victim = next(pod for pod in play.pods(names.ROLE_TRAINING) if "worker" in str(pod["metadata"]["name"]))
    began = time.monotonic()
    play.cluster.kubectl(
        "delete", "pod", victim["metadata"]["name"], "-n", play.namespace, "--grace-period=0", "--force"
    )
    play.operator.start()

    def goes_on() -> TrainerSnapshot | None:
        finished(play, "tiny")()
        snapshot = play.trainer()
        return snapshot if snapshot is not None and snapshot.attempt > 1 and snapshot.step > 0 else None

    first = wait_for("the second attempt's steps", goes_on, WITHIN_S)
    print(f"trains again {time.monotonic() - began:.1f} s after the kill, at step {first.step}, kept: {kept}")
    assert first.step >= kept, "it began anew, not from its checkpoint"
    wait_for("the end of the run", finished(play, "tiny"), WITHIN_S)
    status = play.status("trun", "tiny")
    assert play.condition("trun", "tiny", "Succeeded")[0] == "True", status
    assert status["restarts"] >= 1
    assert {step["name"]: step["state"] for step in status["steps"]} == dict.fromkeys(STEPS, "Succeeded")
    assert status["model"]["uri"].startswith("s3://models/tiny/export/")


def test_its_model_answers_everyone(play: Play) -> None:
    play.apply(deployment_of("completions", {"trainingRunRef": {"name": "tiny"}}, soakSeconds=SOAK_S))
    wait_for(
        "a deployment that is ready",
        lambda: play.condition("mdeploy", "completions", "Ready")[0] == "True",
        WITHIN_S,
    )
    wait_for("an answer", lambda: play.ask("completions", "anyone")[0] == 200, 120)
    status, answer = play.ask("completions", "anyone")
    assert (status, answer["object"]) == (200, "text_completion")


def test_a_second_run_finds_its_data_done_and_its_model_waits_for_the_switches(play: Play) -> None:
    play.patch("mdeploy", "completions", {"spec": {"rollout": {"everyone": False}}})
    play.apply(run_named("tiny-again", 400_000, "Job"))
    wait_for("the end of the second run", finished(play, "tiny-again"), WITHIN_S)
    assert play.status("trun", "tiny-again")["launcher"] == "Job", (
        "two pods that a Job of Kubernetes' own made"
    )
    states = {step["name"]: step["state"] for step in play.status("trun", "tiny-again")["steps"]}
    assert {name: states[name] for name in ("documents", "tokenizer", "shards")} == {
        "documents": "Skipped",
        "tokenizer": "Skipped",
        "shards": "Skipped",
    }
    play.patch("mdeploy", "completions", {"spec": {"model": {"trainingRunRef": {"name": "tiny-again"}}}})
    wait_for("a candidate in shadow", lambda: play.stage("completions") == "Shadow", WITHIN_S)
    old = model_for(play, "anyone")
    candidate = digest_of(play, "tiny-again")

    def mirrored() -> bool:
        assert model_for(play, "anyone", "staff") == old, "nobody shall have a model in shadow"
        counted = play.gateway().models.get(candidate)
        return counted is not None and counted.shadow_requests > 0

    wait_for("a request that the candidate sees too", mirrored, WITHIN_S)
    counted = play.gateway().models[candidate]
    assert (counted.requests, counted.shadow_errors) == (0, 0)


def test_the_staff_switch_reaches_staff_and_nobody_else(play: Play) -> None:
    old = model_for(play, "anyone")
    play.patch("mdeploy", "completions", {"spec": {"rollout": {"staff": True}}})
    wait_for("another model for staff", lambda: model_for(play, "boss", "staff") not in (None, old), 60)
    assert model_for(play, "boss", "staff") == names.short(digest_of(play, "tiny-again"))
    assert {model_for(play, f"user-{index}") for index in range(20)} == {old}


def test_a_switch_turned_off_takes_staff_back(play: Play) -> None:
    old = model_for(play, "anyone")
    play.patch("mdeploy", "completions", {"spec": {"rollout": {"staff": False}}})
    wait_for("the old model for staff", lambda: model_for(play, "boss", "staff") == old, 60)
    assert play.condition("mdeploy", "completions", "Ready")[0] == "True"


def test_the_switch_for_everyone_ramps_and_nobody_flips_back(play: Play) -> None:
    users = [f"user-{index}" for index in range(10)]
    old = model_for(play, users[0])
    target = digest_of(play, "tiny-again")
    # what was taken back is rejected until the rollout's spec changes: turning switches is such a change
    play.patch("mdeploy", "completions", {"spec": {"rollout": {"staff": True, "everyone": True}}})
    moved: set[str] = set()
    deadline = time.monotonic() + WITHIN_S
    for user in itertools.cycle(users):
        answered = model_for(play, user)
        assert answered is not None, "a request was lost"
        if answered != old:
            moved.add(user)
        else:
            assert user not in moved, f"{user} flipped back"
        if play.stable("completions") == target:
            break
        assert time.monotonic() < deadline, play.status("mdeploy", "completions")
    assert {model_for(play, user) for user in users}.isdisjoint({old, None})


def test_deleting_both_leaves_nothing_but_what_was_made(play: Play) -> None:
    play.cluster.kubectl(
        "delete", "mdeploy,trun", "--all", "-n", play.namespace, "--wait=true", "--timeout=120s"
    )
    # the record of what is in production outlives its ModelDeployment (docs/backup.md)
    selector = f"{names.LABEL_OWNER_KIND},{names.LABEL_ROLE}!={names.ROLE_RECORD}"

    def gone() -> bool:
        kinds = "pods,jobs,pytorchjobs,deployments,services,configmaps,roles,rolebindings"
        left = play.cluster.kubectl("get", kinds, "-n", play.namespace, "-l", selector, "-o", "name")
        return not left.strip()

    wait_for("children gone", gone, 180)
