"""An operator that is killed between any two of its calls comes to the same end as one that is not."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.settings import Settings
from tests.operator.training.world import World

pytestmark = pytest.mark.slow

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")
SPEC = {"training": {"nodes": 2, "placement": {"zones": ["a", "b"]}}, "runPolicy": {"backoffLimit": 2}}
Happening = Callable[[World], Any]


def hand_over(*steps: str) -> Happening:
    def happens(world: World) -> None:
        for step in steps:
            world.hand_over(step)

    return happens


def pipeline_ends(world: World) -> None:
    for run_id, run in world.pipelines.items():
        if run.state in ("Running", "Canceling"):
            world.pipelines[run_id] = PipelineRun("Failed")


def worker(attempt: int) -> str:
    return f"first-light-train-{attempt}-worker-0"


PLAY: tuple[tuple[str, Happening], ...] = (
    ("the run is made", lambda _: None),
    ("a step breaks", lambda world: world.hand_error("documents", 75)),
    ("its pipeline ends", pipeline_ends),
    ("time goes by", lambda world: world.wait(61)),
    ("the data is made", hand_over("documents", "xray", "tokenizer", "shards")),
    ("its pipeline ends", pipeline_ends),
    ("the pods come up", lambda world: world.pods_up()),
    ("a pod is preempted", lambda world: world.disrupt(worker(1))),
    ("time goes by", lambda world: world.wait(700)),
    ("the pods come up", lambda world: world.pods_up()),
    ("a pod fails", lambda world: world.pod_fails(worker(2), 1)),
    ("time goes by", lambda world: world.wait(700)),
    ("the pods come up", lambda world: world.pods_up()),
    ("the run is held", lambda world: world.change(suspend=True)),
    ("the run goes on", lambda world: world.change(suspend=False)),
    ("the pods come up", lambda world: world.pods_up()),
    ("the model is trained", hand_over("train")),
    ("the model is judged", hand_over("export", "evaluate")),
)
LOOKS_AFTER_EACH = 3


def outcome(world: World) -> dict[str, Any]:
    status = dict(world.status)
    told = {
        key: status.get(key) for key in ("restarts", "countedRestarts", "attempt", "zone", "model", "metrics")
    }
    verdicts = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    attempts = {step["name"]: (step["state"], step["attempt"]) for step in status["steps"]}
    return {**told, **verdicts, **attempts, "children": set(world.children), "submitted": world.submitted}


def fork(world: World) -> World:
    copied: World = pickle.loads(pickle.dumps(world))
    return copied


@pytest.mark.parametrize("settings", [Settings(), KUBEFLOW], ids=["by Jobs", "by Kubeflow"])
def test_a_kill_between_any_two_calls_changes_nothing(settings: Settings) -> None:
    world, num_kills = World(SPEC, settings), 0
    for said, happens in PLAY:
        happens(world)
        for _ in range(LOOKS_AFTER_EACH):
            undisturbed = fork(world)
            num_calls = len(undisturbed.actions(undisturbed.look()))
            undisturbed.settle(LOOKS_AFTER_EACH)
            for actions in range(num_calls):
                killed = fork(world)
                killed.look(actions)
                killed.settle(LOOKS_AFTER_EACH + 1)
                assert outcome(killed) == outcome(undisturbed), (said, actions)
                assert len(killed.submitted) == len(set(killed.submitted))
                num_kills += 1
            world.look()
    status = world.status
    assert (status["restarts"], status["countedRestarts"], status["attempt"]) == (3, 2, 4)
    assert world.condition("Succeeded") == ("True", "Completed")
    assert num_kills > 150
