"""A model that is worse than its guardrails allow, on a real node: back in seconds, nobody loses a request.

One play in order: each test goes on where the one before it ended. The models are made here, no run trains them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from daybreak_contracts import names
from tests.cluster.reach import wait_for
from tests.e2e import installation, many_layers
from tests.e2e.plays import GUARDRAILS, WITHIN_S, Play, deployment_of
from tests.serve.conftest import write_llama, write_tokenizer

pytestmark = pytest.mark.slow
NAME = "guarded"
BOUND_MS = 200
ROLLED_BACK_WITHIN_S = 30.0
USERS = [f"user-{index}" for index in range(20)]
LAYERS = {"good": 2, "slow": 500, "other": 3}


@dataclass(frozen=True)
class Models:
    """By name: digests of three models that answer the same, one of them a hundred times as slowly."""

    digests: dict[str, str]

    def spec(self, name: str) -> dict[str, Any]:
        return {"uri": f"s3://models/{name}", "digest": self.digests[name]}

    def short(self, name: str) -> str:
        return names.short(self.digests[name])


@pytest.fixture(scope="module")
def models(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    (folder / "source").mkdir()
    write_llama(folder / "source", write_tokenizer(folder / "source").get_vocab_size())
    digests = {}
    for name, layers in LAYERS.items():
        made = many_layers.commit(folder / "source", folder / f"{name}-staging", folder / name, layers)
        installation.upload(play.store, f"s3://models/{name}", folder / name)
        digests[name] = made.digest
    return Models(digests)


@pytest.fixture(scope="module", autouse=True)
def deployment(play: Play, models: Models) -> Iterator[None]:
    """The first model serves everyone."""
    play.apply(deployment_of(NAME, models.spec("good"), soakSeconds=600))
    wait_for("a model for everyone", lambda: play.condition("mdeploy", NAME, "Ready")[0] == "True", WITHIN_S)
    wait_for("an answer", lambda: play.ask(NAME, "anyone")[0] == 200, 120)
    yield
    play.cluster.kubectl("delete", "mdeploy", NAME, "-n", play.namespace, "--wait=true", "--timeout=120s")


def test_a_model_that_breaks_a_guardrail_is_rolled_back_and_no_request_is_lost(
    play: Play, models: Models
) -> None:
    guardrails = {**GUARDRAILS, "maxP95LatencyMs": BOUND_MS}
    play.patch(
        "mdeploy", NAME, {"spec": {"model": models.spec("slow"), "rollout": {"guardrails": guardrails}}}
    )
    # users come all the time, and each of them is answered: before, during and after
    bad: list[float] = []
    good_since, deadline = 0, time.monotonic() + WITHIN_S
    for user in itertools.cycle(USERS):
        answered = play.model_for(NAME, user)
        assert answered in (models.short("good"), models.short("slow")), "a request was lost"
        good_since += 1
        if answered == models.short("slow"):
            bad.append(time.monotonic())
            good_since = 0
        if bad and good_since >= 2 * len(USERS):
            break
        assert time.monotonic() < deadline, play.status("mdeploy", NAME)
    breach = bad[GUARDRAILS["minRequests"] - 1]
    print(f"{len(bad)} slow answers, the last one {bad[-1] - breach:.1f} s after there were enough to judge")
    assert bad[-1] - breach <= ROLLED_BACK_WITHIN_S
    status, reason, message = play.condition("mdeploy", NAME, "RolloutHealthy")
    assert (status, reason) == ("False", "RolledBack")
    assert f"took longer than {BOUND_MS} ms" in message
    assert play.status("mdeploy", NAME)["rejected"] == [models.digests["slow"]]
    assert play.condition("mdeploy", NAME, "Ready")[0] == "True"
    chosen = "reason=RolledBack,type=Warning"
    told = play.cluster.kubectl("get", "events", "-n", play.namespace, "--field-selector", chosen)
    assert models.short("slow") in told


def test_a_rejected_model_stays_so_when_the_operator_starts_anew(play: Play, models: Models) -> None:
    play.operator.kill()
    play.operator.start()
    play.patch("mdeploy", NAME, {"spec": {"gateway": {"holdMs": 4000}}})
    generation = (play.cluster.get("mdeploy", NAME, play.namespace) or {})["metadata"]["generation"]
    wait_for(
        "the operator's look at the new spec",
        lambda: play.status("mdeploy", NAME).get("observedGeneration") == generation,
        WITHIN_S,
    )
    assert play.stage(NAME) == "RolledBack"
    assert play.status("mdeploy", NAME)["rejected"] == [models.digests["slow"]]
    revision = f"{names.LABEL_REVISION}={models.short('slow')}"
    wait_for(
        "its pods to go",
        lambda: not play.cluster.kubectl("get", "pods", "-n", play.namespace, "-l", revision, "-o", "name"),
        WITHIN_S,
    )
    assert {play.model_for(NAME, user) for user in USERS} == {models.short("good")}


def test_another_model_is_taken_after_one_that_was_rejected(play: Play, models: Models) -> None:
    rollout = {"soakSeconds": 5, "guardrails": GUARDRAILS}
    play.patch("mdeploy", NAME, {"spec": {"model": models.spec("other"), "rollout": rollout}})
    deadline = time.monotonic() + WITHIN_S
    for user in itertools.cycle(USERS):
        assert play.model_for(NAME, user) is not None, "a request was lost"
        if play.stable(NAME) == models.digests["other"]:
            break
        assert time.monotonic() < deadline, play.status("mdeploy", NAME)
    assert {play.model_for(NAME, user) for user in USERS} == {models.short("other")}
