"""Ten thousand random orders of what can happen to a run, with the operator killed between any two of its calls.

Held: a finished run makes no child again, counters never fall, a verdict never flips, one PyTorchJob at most is there,
no Kubeflow run id is submitted twice, and the world comes to rest when nothing happens any more.
"""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.settings import Settings
from tests.operator.training.world import STAGE_OF, World
from tests.plugins.profiles import share_of

pytestmark = pytest.mark.slow

KUBEFLOW = Settings(backend="KubeflowPipelines", kubeflow_url="http://ml-pipeline")
SPEC = {
    "training": {"nodes": 2, "placement": {"zones": ["a", "b"], "markets": ["Spot", "OnDemand"]}},
    "runPolicy": {"backoffLimit": 2, "activeDeadlineSeconds": 90_000, "podsReadyTimeoutSeconds": 600},
    "evaluation": {"gates": [{"metric": "humaneval/pass@1", "min": "0.1"}]},
}
STEPS = tuple(STAGE_OF)
WAITS = (1, 5, 20, 45, 130, 400, 2000, 30_000)
CODES = (1, 2, 75, 137, 143)
STATES: tuple[Any, ...] = ("Pending", "Running", "Succeeded", "Failed", "Canceling", "Lost")


def nth(items: list[Any], number: int) -> Any:
    return items[number % len(items)] if items else None


def has_results(world: World, step: str) -> bool:
    return any(
        item["metadata"]["labels"].get(names.LABEL_STAGE) == STAGE_OF[step]
        and item["metadata"]["labels"].get(names.LABEL_ROLE) == names.ROLE_RESULTS
        for item in world.of_kind("ConfigMap")
    )


def going_step(world: World) -> str:
    return next(
        (item["name"] for item in world.run.get("status", {}).get("steps", []) if item["state"] in "Running"),
        "documents",
    )


def step_ends(world: World, number: int) -> None:
    step = going_step(world)
    if has_results(world, step):
        world.hand_over(step, cached=number % 3 == 0)


def stage_ends(world: World, number: int) -> None:
    stage = STAGE_OF[going_step(world)]
    for step in STEPS:
        if STAGE_OF[step] == stage and has_results(world, step):
            world.hand_over(step, cached=number % 2 == 0)


def step_breaks(world: World, number: int) -> None:
    step = nth(list(STEPS), number)
    if has_results(world, step):
        world.hand_error(step, CODES[number % 3])


def step_says_nonsense(world: World, number: int) -> None:
    step = going_step(world)
    if has_results(world, step):
        world.patch(step, nth(["", "{", "[]", '{"result": 3}', '{"error": {}}', "null"], number))


def pod_of(world: World, number: int) -> str | None:
    pod = nth(world.of_kind("Pod"), number)
    return pod["metadata"]["name"] if pod else None


def pod_fails(world: World, number: int) -> None:
    name = pod_of(world, number)
    if name:
        world.pod_fails(name, CODES[number % len(CODES)])


def pod_is_disrupted(world: World, number: int) -> None:
    name = pod_of(world, number)
    if name:
        world.disrupt(name)


def pod_leaves(world: World, number: int) -> None:
    name = pod_of(world, number)
    if name:
        world.pod(name)["metadata"]["deletionTimestamp"] = timestamp(world.now)


def child_is_deleted(world: World, number: int) -> None:
    key = nth(list(world.children), number)
    if key:
        world.remove(key)


def job_ends(world: World, number: int) -> None:
    job = nth([*world.of_kind("Job"), *world.of_kind("PyTorchJob")], number)
    if job:
        good = "Complete" if job["kind"] == "Job" else "Succeeded"
        held = {
            "type": nth([good, "Failed"], number),
            "status": "True",
            "lastTransitionTime": timestamp(world.now),
        }
        job["status"] = {"conditions": [held]}


def pipeline_changes(world: World, number: int) -> None:
    run_id = nth(sorted(world.pipelines), number)
    if run_id:
        ended = world.now.timestamp() if number % 2 else None
        world.pipelines[run_id] = PipelineRun(STATES[number % len(STATES)], ended=ended)


def backend_goes(world: World, number: int) -> None:
    world.backend_error = "connection refused" if number % 2 else None


def is_held(world: World, number: int) -> None:
    world.change(suspend=number % 2 == 0)


def gates_change(world: World, number: int) -> None:
    metric = "humaneval/pass@1" if number % 4 else "unknown/metric"
    world.change(evaluation={"gates": [{"metric": metric, "min": nth(["0.1", "0.3"], number)}]})


def spec_breaks(world: World, number: int) -> None:
    world.change(seed=-1 if number % 2 else 0)


def secret_goes(world: World, number: int) -> None:
    world.missing = ("Secret wandb is missing: make it",) if number % 2 else ()


def trainer_speaks(world: World, number: int) -> None:
    age = nth([0, 100, 1000], number)
    world.progress = TrainerSnapshot(
        attempt=0, step=number, total_steps=8, loss=2.0, updated=world.now.timestamp() - age
    )


def time_goes(world: World, number: int) -> None:
    world.wait(WAITS[number % len(WAITS)])


def run_is_deleted(world: World, number: int) -> None:
    if number % 4 == 0:
        world.delete_run()


HAPPENINGS: tuple[Callable[[World, int], None], ...] = (
    step_ends,
    stage_ends,
    stage_ends,
    step_breaks,
    step_says_nonsense,
    pod_fails,
    pod_is_disrupted,
    pod_leaves,
    child_is_deleted,
    job_ends,
    pipeline_changes,
    backend_goes,
    is_held,
    gates_change,
    spec_breaks,
    secret_goes,
    trainer_speaks,
    time_goes,
    time_goes,
    run_is_deleted,
    lambda world, _: world.pods_up(),
    lambda world, _: world.make_pods(),
)


class Witness:
    """Remembers what must never be taken back."""

    def __init__(self, world: World) -> None:
        self.terminal: Any = None
        self.counters: dict[str, int] = {}
        self.look(world)

    def look(self, world: World) -> None:
        status = world.run.get("status") or {}
        assert len(world.of_kind("PyTorchJob")) <= 1
        assert len(world.submitted) == len(set(world.submitted))
        counters = {name: status.get(name) or 0 for name in ("restarts", "countedRestarts", "attempt")}
        counters |= {f"step {step['name']}": step["attempt"] for step in status.get("steps", ())}
        assert all(counters[name] >= value for name, value in self.counters.items()), (
            self.counters,
            counters,
        )
        assert counters["countedRestarts"] <= 2
        self.counters = counters
        verdicts = {
            item["type"]: (item["status"], item["reason"], item["message"], item["lastTransitionTime"])
            for item in status.get("conditions", ())
        }
        if self.terminal is not None:
            assert verdicts == self.terminal
        elif verdicts.get("Finished", ("False",))[0] == "True":
            assert verdicts["Succeeded"][0] in ("True", "False")
            assert ("model" in status) == (verdicts["Succeeded"][0] == "True")
            self.terminal = verdicts


def fresh(settings_: Settings) -> World:
    return World(SPEC, settings_)


def begun(settings_: Settings) -> World:
    world = fresh(settings_)
    world.settle(2)
    return world


def training(settings_: Settings) -> World:
    world = begun(settings_)
    world.make_data()
    world.pods_up()
    world.look()
    return world


def evaluating(settings_: Settings) -> World:
    world = training(settings_)
    world.train()
    world.settle(2)
    return world


def over(settings_: Settings) -> World:
    world = evaluating(settings_)
    world.make_model()
    return world


STARTS = {
    f"{start.__name__} {how}": pickle.dumps(start(chosen))
    for start in (fresh, begun, training, evaluating, over)
    for how, chosen in (("by Jobs", Settings()), ("by Kubeflow", KUBEFLOW))
}
NO_LOOK, KILLED_FROM = 0, 6
"""Of 0 to 9: every tenth happening comes before the operator looks again, four of ten looks are cut short."""
Order = list[tuple[int, int, int]]
ORDERS = st.lists(
    st.tuples(st.integers(0, len(HAPPENINGS) - 1), st.integers(0, 23), st.integers(0, 9)),
    min_size=3,
    max_size=12,
)
NUM_SHORT, NUM_LONG = share_of(900), share_of(100)
"""Orders from each of the ten starts: short ones by seed, long ones by hypothesis, which shrinks what it finds."""


def short_order(name: str) -> Order:
    dice = random.Random(name)
    happenings = range(dice.randint(2, 6))
    return [(dice.randrange(len(HAPPENINGS)), dice.randrange(24), dice.randrange(10)) for _ in happenings]


def play(world: World, order: Order) -> Witness:
    witness = Witness(world)
    for index, number, how in order:
        HAPPENINGS[index](world, number)
        if world.gone:
            break
        looks(world, witness, None if how < KILLED_FROM else number % 7, how)
    return witness


def looks(world: World, witness: Witness, actions: int | None, how: int = 1) -> None:
    made = len(world.made) + len(world.submitted)
    was_over = witness.terminal is not None
    if how != NO_LOOK:
        world.look(actions)
    if not world.gone:
        witness.look(world)
    assert not was_over or len(world.made) + len(world.submitted) == made


def play_to_rest(start: str, order: Order) -> None:
    world: World = pickle.loads(STARTS[start])
    witness = play(world, order)
    if len(order) % 3 or world.gone:
        return
    for _ in range(5):
        writes, made = world.writes, len(world.made)
        if not world.gone:
            looks(world, witness, None)
    assert (world.writes, len(world.made)) == (writes, made), "it does not come to rest"


@pytest.mark.parametrize("start", STARTS)
def test_in_any_short_order_of_events_nothing_is_taken_back(start: str) -> None:
    for seed in range(NUM_SHORT):
        order = short_order(f"{start} {seed}")
        try:
            play_to_rest(start, order)
        except AssertionError as error:
            said = [(getattr(HAPPENINGS[index], "__name__", ""), *rest) for index, *rest in order]
            raise AssertionError(f"seed {seed}: {said}") from error


@pytest.mark.parametrize("start", STARTS)
@settings(
    max_examples=NUM_LONG,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(order=ORDERS)
def test_in_any_long_order_of_events_nothing_is_taken_back(start: str, order: Order) -> None:
    play_to_rest(start, order)
