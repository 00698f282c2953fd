"""Kubeflow as a back end: a run is started at most once, whatever is lost on the way; states; a server that is down."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_operator.core.observed.parse import parse_object
from daybreak_operator.core.observed.pods import ObservedPod
from daybreak_operator.core.plan import PipelinePods, Submit
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.settings import Images, Settings
from daybreak_operator.shell.kube.client import connect
from daybreak_operator.shell.kubeflow import back_end as kubeflow
from daybreak_operator.shell.kubeflow import package as kubeflow_package
from daybreak_operator.shell.kubeflow.back_end import Choices, Kubeflow
from daybreak_operator.shell.kubeflow.pods import pods_of_runs
from tests.cluster.reach import Reach
from tests.operator.kubeflow.stand_in import ENDED_UNIX, ROOT, BackEnd, Fault, serve

RUN_ID = "0b5c1b63-7a4f-4b52-9a3c-6f6a7b8c9d0e-data-1"
PARAMETERS = {
    "documents_args": "{}",
    "xray_args": "{}",
    "tokenizer_args": "{}",
    "shards_args": "{}",
    "output": "s3://models/first",
    "results_configmap": "team/first-data-1",
}
REQUEST = Submit(
    run_id=RUN_ID,
    pipeline=names.DATA_PIPELINE,
    display_name="team/first-data-1",
    experiment="daybreak",
    parameters=PARAMETERS,
    service_account="daybreak-pipeline",
)


DRIVER = parse_object({"kind": "Pod", "metadata": {"name": "driver", "namespace": "team"}})
assert isinstance(DRIVER, ObservedPod)


class Time:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def back_end() -> Iterator[BackEnd]:
    with serve() as found:
        yield found


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def client(back_end: BackEnd, clock: Time) -> Kubeflow:
    return Kubeflow(back_end.url, choices(clock))


def choices(clock: Time) -> Choices:
    return Choices(clock=lambda: clock.now, sleep=clock.sleep, timeouts_s=(2.0, 2.0))


class TestSubmit:
    def test_a_run_is_started_under_the_id_that_was_chosen(self, back_end: BackEnd, client: Kubeflow) -> None:
        assert client.get(RUN_ID) == PipelineRun("Absent")
        client.submit(REQUEST)
        assert client.get(RUN_ID) == PipelineRun("Pending")
        run = back_end.runs[RUN_ID]
        assert run["display_name"] == "team/first-data-1"
        assert run["service_account"] == "daybreak-pipeline"
        assert run["runtime_config"] == {"parameters": PARAMETERS}
        assert set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
        (experiment,) = back_end.experiments.values()
        assert (run["experiment_id"], experiment["display_name"]) == (experiment["experiment_id"], "daybreak")

    def test_an_operator_that_forgot_its_submission_starts_no_second_run(self, back_end: BackEnd) -> None:
        """Killed between the submission and the status that records it."""
        assert Kubeflow(back_end.url).submit(REQUEST)
        assert not Kubeflow(back_end.url).submit(REQUEST), "told once in the log, too"
        assert back_end.workflows == {RUN_ID: 1}
        assert len(back_end.experiments) == 1

    @pytest.mark.parametrize("kind", ["after", "hang"])
    def test_an_answer_that_is_lost_is_asked_for(
        self, back_end: BackEnd, client: Kubeflow, clock: Time, kind: str
    ) -> None:
        client.submit(replace(REQUEST, run_id="another"))
        back_end.faults = [Fault("POST", kind)]
        client.submit(REQUEST)
        assert back_end.workflows == {"another": 1, RUN_ID: 1}
        client.submit(REQUEST)
        assert back_end.workflows == {"another": 1, RUN_ID: 1}

    def test_what_stays_unclear_is_not_posted_again_before_a_minute_is_over(
        self, back_end: BackEnd, client: Kubeflow, clock: Time
    ) -> None:
        client.submit(replace(REQUEST, run_id="another"))
        back_end.faults = [Fault("POST", "before")]
        with pytest.raises(kubeflow.UnclearError, match="not clear whether it was started"):
            client.submit(REQUEST)
        posts = back_end.posts()
        with pytest.raises(TransientError, match="not clear yet"):
            client.submit(REQUEST)
        assert back_end.posts() == posts
        clock.sleep(kubeflow.QUIET_S)
        client.submit(REQUEST)
        assert back_end.workflows == {"another": 1, RUN_ID: 1}

    @pytest.mark.parametrize("status", ["502", "503", "504"])
    def test_a_proxy_that_answers_instead_is_unclear_too(
        self, back_end: BackEnd, client: Kubeflow, status: str
    ) -> None:
        client.submit(replace(REQUEST, run_id="another"))
        back_end.faults = [Fault("POST", status)]
        with pytest.raises(kubeflow.UnclearError):
            client.submit(REQUEST)

    def test_a_second_post_is_a_disaster_and_the_stand_in_knows_it(
        self, back_end: BackEnd, client: Kubeflow
    ) -> None:
        client.submit(REQUEST)
        body = client._body(REQUEST)
        client._post(RUN_ID, body)
        assert back_end.workflows == {RUN_ID: 2}

    @pytest.mark.slow
    def test_an_experiment_that_was_deleted_is_made_anew(self, back_end: BackEnd, client: Kubeflow) -> None:
        client.submit(replace(REQUEST, run_id="another"))
        back_end.experiments.clear()
        client.submit(REQUEST)
        assert back_end.workflows[RUN_ID] == 1
        assert len(back_end.experiments) == 1

    def test_an_experiment_that_is_there_is_taken(self, back_end: BackEnd, clock: Time) -> None:
        Kubeflow(back_end.url).submit(replace(REQUEST, run_id="another"))
        Kubeflow(back_end.url).submit(REQUEST)
        assert back_end.requests.count(("POST", f"{ROOT}/experiments")) == 1

    def test_an_experiment_whose_answer_is_lost_is_found(self, back_end: BackEnd, client: Kubeflow) -> None:
        back_end.faults = [Fault("POST", "after")]
        client.submit(REQUEST)
        assert len(back_end.experiments) == 1
        assert back_end.workflows == {RUN_ID: 1}

    def test_a_wrong_parameter_is_the_users(self, back_end: BackEnd, client: Kubeflow) -> None:
        request = replace(REQUEST, parameters={**PARAMETERS, "typo": 1})
        with pytest.raises(UserError, match="status 400: parameter typo is not defined"):
            client.submit(request)
        assert back_end.workflows == {}

    def test_a_spec_that_cannot_be_read_is_told(self, back_end: BackEnd, clock: Time, tmp_path: Path) -> None:
        (tmp_path / "daybreak-data.yaml").write_text("a: 1")
        client = Kubeflow(back_end.url, replace(choices(clock), packages=tmp_path))
        with pytest.raises(UserError, match=r"cannot start run .* status 500: .*invalid pipeline spec"):
            client.submit(REQUEST)

    def test_a_package_that_is_missing_is_told(self, back_end: BackEnd, clock: Time, tmp_path: Path) -> None:
        client = Kubeflow(back_end.url, replace(choices(clock), packages=tmp_path))
        with pytest.raises(UserError, match="pipeline daybreak-data is not in"):
            client.submit(REQUEST)

    def test_pods_of_a_run_that_nobody_knows_hold_a_submission_back(
        self, back_end: BackEnd, clock: Time
    ) -> None:
        client = Kubeflow(back_end.url, replace(choices(clock), pods_of=lambda run_id: (DRIVER,)))
        with pytest.raises(TransientError, match="has pods"):
            client.submit(REQUEST)
        assert back_end.posts() == 0

    def test_an_installations_images_are_put_in(self, back_end: BackEnd, clock: Time) -> None:
        mine = Images(data="r.example/data@sha256:1", train="r.example/train@sha256:2")
        Kubeflow(back_end.url, replace(choices(clock), images=mine)).submit(REQUEST)
        spec = back_end.runs[RUN_ID]["pipeline_spec"]["pipeline_spec"]
        images = {entry["container"]["image"] for entry in spec["deploymentSpec"]["executors"].values()}
        assert images == {"r.example/data@sha256:1"}

    def test_packages_submitted_by_hand_name_the_images_that_are_made(self) -> None:
        """`make images` makes daybreak/ROOM:TAG, the chart's defaults are those of its version."""
        named = set()
        for pipeline in (names.DATA_PIPELINE, names.MODEL_PIPELINE):
            package = kubeflow_package.read(pipeline, None)
            spec = package.get("pipeline_spec", package)
            named |= {one["container"]["image"] for one in spec["deploymentSpec"]["executors"].values()}
        base = (Path(__file__).parents[3] / "manifests/base/deployment.yaml").read_text()
        assert {image.partition(":")[0] for image in named} <= set(Images().model_dump().values())
        assert [image for image in named if f'"{image}"' not in base] == []

    def test_an_experiment_belongs_to_the_profile_that_the_run_is_in(
        self, back_end: BackEnd, client: Kubeflow
    ) -> None:
        for number, namespace in enumerate(["team-a", "team-b", "team-a"]):
            client.submit(replace(REQUEST, run_id=f"run-{number}", namespace=namespace))
        owners = {key: experiment["namespace"] for key, experiment in back_end.experiments.items()}
        assert sorted(owners.values()) == ["team-a", "team-b"]
        found = [owners[back_end.runs[f"run-{number}"]["experiment_id"]] for number in range(3)]
        assert found == ["team-a", "team-b", "team-a"]

    def test_every_task_gets_what_the_runs_pods_shall_have(self, back_end: BackEnd, client: Kubeflow) -> None:
        pods = PipelinePods({"podMetadata": {"labels": {"a": "b"}}, "secretAsEnv": [{"secretName": "more"}]})
        client.submit(replace(REQUEST, pods=(pods,)))
        spec = back_end.runs[RUN_ID]["pipeline_spec"]
        tasks = spec["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        assert set(tasks) == set(spec["pipeline_spec"]["deploymentSpec"]["executors"])
        for task in tasks.values():
            assert task["podMetadata"] == {"labels": {"a": "b"}}
            assert [entry.get("secretName") for entry in task["secretAsEnv"]] == [None, "more"]
            assert task["emptyDirMounts"] == [{"mountPath": names.WORK_DIR, "volumeName": "work"}]

    def test_a_token_is_sent_and_read_anew(self, back_end: BackEnd, clock: Time, tmp_path: Path) -> None:
        token = tmp_path / "token"
        client = Kubeflow(back_end.url, replace(choices(clock), token_file=token))
        for text in ("one", "two"):
            token.write_text(text)
            client.get(RUN_ID)
        assert [headers["Authorization"] for headers in back_end.headers] == ["Bearer one", "Bearer two"]


class TestStates:
    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            pytest.param((), PipelineRun("Pending"), id="fresh"),
            pytest.param((None,), PipelineRun("Pending"), id="no-state-at-first"),
            pytest.param(("RUNNING",), PipelineRun("Running"), id="running"),
            pytest.param(("RUNNING", "SUCCEEDED"), PipelineRun("Succeeded", "", ENDED_UNIX), id="succeeded"),
            pytest.param(("RUNNING", "FAILED"), PipelineRun("Failed", "", ENDED_UNIX), id="failed"),
            pytest.param(("RUNNING", "FAILED", "RUNNING"), PipelineRun("Running"), id="retried-by-hand"),
            pytest.param(("CANCELING",), PipelineRun("Canceling"), id="being-stopped"),
            pytest.param(
                ("CANCELING", "FAILED"), PipelineRun("Failed", "it was terminated", ENDED_UNIX), id="stopped"
            ),
            pytest.param(
                ("CANCELING", "SUCCEEDED"), PipelineRun("Succeeded", "", ENDED_UNIX), id="outlived-its-stop"
            ),
            pytest.param(("A_NEW_STATE",), PipelineRun("Running"), id="a-state-that-nobody-knows-yet"),
        ],
    )
    def test_a_state_is_told(
        self, back_end: BackEnd, client: Kubeflow, states: tuple[str | None, ...], expected: PipelineRun
    ) -> None:
        client.submit(REQUEST)
        for state in states:
            back_end.move(RUN_ID, state)
        assert client.get(RUN_ID) == expected

    @pytest.mark.parametrize("state", ["PENDING", "RUNNING", "CANCELING"])
    def test_a_run_without_pods_is_lost_after_a_while(
        self, back_end: BackEnd, clock: Time, state: str
    ) -> None:
        pods: dict[str, tuple[ObservedPod, ...] | None] = {RUN_ID: ()}
        client = Kubeflow(back_end.url, replace(choices(clock), pods_of=lambda run_id: pods[run_id]))
        alive = kubeflow.STATES[state]
        limit = kubeflow.LOST_AFTER_S[alive]
        client.submit(REQUEST)
        back_end.move(RUN_ID, state)
        assert client.get(RUN_ID).state == alive
        clock.sleep(limit - 1)
        assert client.get(RUN_ID).state == alive
        pods[RUN_ID] = (DRIVER,)
        assert client.get(RUN_ID) == PipelineRun(alive, pods=(DRIVER,))
        pods[RUN_ID] = None  # we may not look there
        clock.sleep(limit)
        assert client.get(RUN_ID).state == alive
        pods[RUN_ID] = ()
        clock.sleep(limit)
        assert client.get(RUN_ID).state == alive
        clock.sleep(limit)
        lost = client.get(RUN_ID)
        assert lost.state == "Lost"
        assert lost.message == f"the back end says {state}, but had no pods for {limit:.0f} s"
        back_end.move(RUN_ID, "SUCCEEDED")
        assert client.get(RUN_ID).state == "Succeeded"

    @pytest.mark.parametrize("pods_of", [None, lambda run_id: (DRIVER,)], ids=["nobody looks", "pods stay"])
    def test_nobody_waits_longer_than_ten_minutes_for_a_run_to_be_stopped(
        self, back_end: BackEnd, clock: Time, pods_of: Any
    ) -> None:
        Kubeflow(back_end.url).submit(REQUEST)
        client = Kubeflow(back_end.url, replace(choices(clock), pods_of=pods_of))
        client.terminate(RUN_ID)
        assert client.get(RUN_ID).state == "Canceling"
        clock.sleep(kubeflow.STOPPED_AFTER_S - 1)
        assert client.get(RUN_ID).state == "Canceling"
        clock.sleep(1)
        assert client.get(RUN_ID) == PipelineRun("Lost", "the back end has been stopping it for 600 s")
        back_end.move(RUN_ID, "FAILED")
        assert client.get(RUN_ID).state == "Failed"


class TestTerminate:
    def test_a_run_is_stopped(self, back_end: BackEnd, client: Kubeflow) -> None:
        client.submit(REQUEST)
        client.terminate(RUN_ID)
        assert client.get(RUN_ID).state == "Canceling"
        client.terminate(RUN_ID)

    def test_a_run_that_is_over_or_absent_is_fine(self, back_end: BackEnd, client: Kubeflow) -> None:
        client.terminate(RUN_ID)
        client.submit(REQUEST)
        back_end.move(RUN_ID, "SUCCEEDED")
        client.terminate(RUN_ID)
        assert client.get(RUN_ID).state == "Succeeded"

    def test_a_run_whose_workflow_is_gone_cannot_be_stopped(
        self, back_end: BackEnd, client: Kubeflow
    ) -> None:
        client.submit(REQUEST)
        back_end.workflows[RUN_ID] = 0
        with pytest.raises(TransientError, match=r"status 500: .*workflow not found"):
            client.terminate(RUN_ID)


class TestDown:
    @pytest.mark.parametrize("call", ["get", "submit", "terminate"])
    def test_a_server_that_is_gone_is_told_of_at_once(self, call: str) -> None:
        client = Kubeflow("http://127.0.0.1:1")
        began = time.monotonic()
        with pytest.raises(TransientError, match=r"http://127\.0\.0\.1:1: cannot be reached"):
            getattr(client, call)(REQUEST if call == "submit" else RUN_ID)
        assert time.monotonic() - began < 10

    def test_a_server_that_hangs_is_told_of(self, back_end: BackEnd) -> None:
        client = Kubeflow(back_end.url, Choices(timeouts_s=(1.0, 0.5)))
        back_end.faults = [Fault("GET", "hang")]
        with pytest.raises(TransientError, match="cannot be reached"):
            client.get(RUN_ID)

    def test_a_server_that_is_ill_is_told_of(self, back_end: BackEnd, client: Kubeflow) -> None:
        back_end.faults = [Fault("GET", "503")]
        with pytest.raises(TransientError, match="status 503: Unavailable"):
            client.get(RUN_ID)

    def test_a_certificate_that_is_not_trusted_is_told_of(self, back_end: BackEnd) -> None:
        with pytest.raises(TransientError, match="cannot be reached: SSLError"):
            Kubeflow(back_end.url.replace("http:", "https:")).get(RUN_ID)


def test_pods_of_a_run_are_found_by_kubeflows_label(cluster: Reach) -> None:
    namespace = cluster.namespace()
    kube = connect({}, str(cluster.kubeconfig))
    settings = Settings(kubeflow_url="http://127.0.0.1:1", backend="KubeflowPipelines")
    pods_of = kubeflow.back_end(settings, kube).pods_of
    assert pods_of is not None
    assert pods_of(RUN_ID) == ()
    metadata = {"name": "driver", "namespace": namespace, "labels": {names.LABEL_KUBEFLOW_RUN: RUN_ID}}
    spec = {"containers": [{"name": "main", "image": "r.example/data"}]}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    assert [pod.name for pod in pods_of(RUN_ID) or ()] == ["driver"]


def test_where_we_may_not_look_nothing_is_called_lost(cluster: Reach, tmp_path: Path) -> None:
    namespace = cluster.namespace()
    nobody = connect({}, str(cluster.kubeconfig_of("default", namespace, tmp_path)))
    assert pods_of_runs(nobody, (namespace,))(RUN_ID) is None


EXCHANGES = json.loads((Path(__file__).parent / "exchanges.json").read_text())
SPOKEN = [
    pytest.param(exchange, id=f"{exchange['method']}-{exchange['path'].rpartition('/')[2]}-{number}")
    for number, exchange in enumerate(EXCHANGES)
    if "/pipelines" not in exchange["path"]
]


@pytest.mark.parametrize("exchange", SPOKEN)
def test_the_stand_in_answers_as_a_real_back_end_did(exchange: dict[str, Any], back_end: BackEnd) -> None:
    """Status and fields of every recorded exchange that concerns us; only ``run_details`` are not made up."""
    spec = kubeflow_package.read(names.DATA_PIPELINE, None)
    spec["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]["n"] = {}
    default = {"experiment_id": "e", "display_name": "Default", "description": "All runs."}
    more = {"created_at": "x", "storage_state": "AVAILABLE", "last_run_created_at": "y"}
    back_end.experiments = {"dbbd5ee4-d829-4c9b-afcf-b627315d9ee5": default | more}
    run_id = exchange["path"].rpartition("/")[2]
    body = exchange["body"]
    if body is not None and "pipeline_spec" in body:
        body = {**body, "pipeline_spec": spec}
    if exchange["path"].startswith(f"{ROOT}/runs/"):
        start = {"experiment_id": next(iter(back_end.experiments)), "display_name": "fresh", "run_id": run_id}
        config = {"parameters": {"n": 7}, "pipeline_root": "minio://root"}
        back_end.handle(
            "POST", f"{ROOT}/runs", {}, {**start, "pipeline_spec": spec, "runtime_config": config}
        )
        for entry in exchange["response"]["state_history"][1:]:
            back_end.move(run_id, entry["state"])
    query = {name: [str(value)] for name, value in exchange["query"]}
    answer = back_end.handle(exchange["method"], exchange["path"], query, body)
    assert answer.status == exchange["status"]
    assert shape(answer.body) == shape(without_details(exchange["response"]))


def without_details(response: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if name != "run_details"}


def shape(value: Any, path: str = "") -> set[str]:
    """The paths of all fields, besides what lies in a pipeline or a parameter."""
    if isinstance(value, dict) and not path.endswith(("pipeline_spec", "parameters")):
        return {found for name, item in value.items() for found in shape(item, f"{path}.{name}")}
    if isinstance(value, list):
        return {found for item in value for found in shape(item, f"{path}[]")}
    final = value if path.endswith(".state") else ""
    return {f"{path}={final}" if final else path}


@pytest.mark.slow
def test_an_operator_without_kubeflow_loads_no_kfp() -> None:
    code = "import sys, daybreak_operator.shell.kubeflow.back_end; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.startswith(("kfp", "daybreak_pipelines"))}
