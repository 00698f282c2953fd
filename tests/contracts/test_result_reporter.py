"""Results, errors and progress on their way to the operator, against an HTTPS server that speaks the API's contract."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from daybreak_contracts import launch, result_reporter, steps
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.result_reporter import ProgressPoster, RetryClock, StepResultReporter, reporter_from
from daybreak_contracts.steps import ExportArgs, ExportResult, Step
from tests.cluster.reach import Reach
from tests.contracts.api_server import Api, serve

ARGUMENTS = {"output": "o", "work_dir": "w", "trained": "t", "tokenizer": "k"}


class Time:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def clock(self) -> RetryClock:
        return RetryClock(now=lambda: self.now, unix=lambda: 1000.0 + self.now, sleep=self.sleep)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(tmp_path / "account") as api:
        yield api


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def way(api: Api, time: Time) -> StepResultReporter:
    found = reporter_from(api.environment, clock=time.clock())
    assert found is not None
    return found


def held(api: Api, key: str) -> Any:
    return json.loads(api.config_maps["team/results"][key])


def test_a_result_becomes_a_key_of_the_config_map(api: Api, way: StepResultReporter) -> None:
    way.result("shards", {"uri": "s3://ü", "digest": "d"})
    way.result("xray", {"uri": "x", "digest": "e"})
    assert held(api, "shards.json") == {"result": {"uri": "s3://ü", "digest": "d"}}
    assert held(api, "xray.json")["result"]["uri"] == "x"
    request = api.requests[0]
    assert request["path"] == "/api/v1/namespaces/team/configmaps/results?fieldManager=daybreak-step"


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([503, 500, 504], id="a-server-that-falls-over"),
        pytest.param([429, 429], id="a-server-that-has-too-much-to-do"),
        pytest.param([409], id="somebody-else-wrote-at-the-same-time"),
        pytest.param([0, 0], id="a-connection-that-breaks"),
        pytest.param([403, 404], id="a-right-that-reaches-the-server-late"),
    ],
)
def test_a_result_is_offered_again(api: Api, way: StepResultReporter, time: Time, answers: list[int]) -> None:
    api.answers = list(answers)
    way.result("shards", {"uri": "u"})
    assert held(api, "shards.json") == {"result": {"uri": "u"}}
    assert len(time.pauses) == len(answers)
    assert time.pauses == sorted(time.pauses)


def test_an_api_server_that_stays_away_is_waited_for_ten_minutes(
    api: Api, way: StepResultReporter, time: Time
) -> None:
    api.answers = [503] * 1000
    with pytest.raises(TransientError, match="ConfigMap team/results: the API server says 503"):
        way.result("shards", {})
    assert result_reporter.PATIENCE_S - 15 <= time.now <= result_reporter.PATIENCE_S


@pytest.mark.slow
def test_nobody_there_is_transient(tmp_path: Path, time: Time) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    (tmp_path / "token").write_text("t")
    way = reporter_from({**environment, "DAYBREAK_ACCOUNT_FOLDER": str(tmp_path)}, "a/b", time.clock())
    assert way is not None
    with pytest.raises(TransientError, match=r"https://127\.0\.0\.1:1 does not answer"):
        way.result("shards", {})


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        pytest.param(
            lambda api: setattr(api, "allowed", False), "needs a Role with verb patch", id="no-right"
        ),
        pytest.param(lambda api: api.config_maps.clear(), "its TrainingRun was deleted", id="no-object"),
        pytest.param(
            lambda api: setattr(api, "token", "other"), "does not accept the pod's token", id="no-token"
        ),
        pytest.param(
            lambda api: (api.account / "token").unlink(), "automountServiceAccountToken", id="no-account"
        ),
    ],
)
def test_a_refusal_is_told_with_its_remedy(
    api: Api, way: StepResultReporter, time: Time, break_it: Any, words: str
) -> None:
    break_it(api)
    with pytest.raises(UserError, match=words):
        way.result("shards", {})
    assert time.now <= result_reporter.REFUSED_PATIENCE_S


def test_a_token_that_was_replaced_is_read_anew(api: Api, time: Time) -> None:
    def replace(seconds: float) -> None:
        time.sleep(seconds)
        (api.account / "token").write_text("token-2")

    clock = RetryClock(now=lambda: time.now, sleep=replace)
    api.token = "token-2"
    way = reporter_from(api.environment, clock=clock)
    assert way is not None
    way.result("shards", {"uri": "u"})
    assert len(api.requests) == 2


def test_a_server_that_is_not_the_clusters_gets_no_token(
    api: Api, way: StepResultReporter, tmp_path: Path
) -> None:
    with serve(tmp_path / "other") as other:
        (api.account / "ca.crt").write_bytes((other.account / "ca.crt").read_bytes())
        with pytest.raises(TransientError, match="certificate verify failed"):
            way.result("shards", {})
    assert api.requests == []


def test_an_errors_text_is_cut_and_says_so(api: Api, way: StepResultReporter) -> None:
    way.error("shards", UserError("x" * 2_000_000))
    document = held(api, "shards.json")["error"]
    assert document["exitCode"] == 2
    assert document["message"].endswith("... (1984000 more characters are in the pod's log)")


def test_a_result_is_never_cut(api: Api, way: StepResultReporter) -> None:
    with pytest.raises(UserError, match="shards: its result has 1000014 bytes, at most 900000 fit"):
        way.result("shards", {"uri": "x" * 999_991})
    assert api.requests == []


def test_results_that_together_are_too_large_are_refused(api: Api, way: StepResultReporter) -> None:
    way.result("xray", {"uri": "x" * 700_000})
    with pytest.raises(UserError, match="refused with status 422"):
        way.result("shards", {"uri": "x" * 700_000})


def test_what_is_held_is_read_by_a_patch_that_changes_nothing(api: Api, way: StepResultReporter) -> None:
    assert way.held("train") is None
    way.failure("train", {"exitCode": 2, "message": "bad shard"})
    before = dict(api.config_maps["team/results"])
    assert way.held("train") == {"error": {"exitCode": 2, "message": "bad shard"}}
    assert api.config_maps["team/results"] == before


def test_an_error_that_cannot_be_handed_over_is_said(api: Api, way: StepResultReporter, capsys: Any) -> None:
    api.allowed = False
    way.error("shards", UserError("mend it"))
    assert "shards: its error could not be reported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param(
            {"DAYBREAK_RESULTS_CONFIGMAP": "nothing"}, "must be <namespace>/<ConfigMap>", id="no-slash"
        ),
        pytest.param(
            {"DAYBREAK_RESULTS_CONFIGMAP": "a/b/c"}, "must be <namespace>/<ConfigMap>", id="too-many"
        ),
        pytest.param({"DAYBREAK_RESULTS_CONFIGMAP": "a/b"}, "this is no pod", id="no-pod"),
    ],
)
def test_a_wrong_name_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        reporter_from(environment)


def test_outside_a_cluster_nobody_waits_for_results() -> None:
    assert reporter_from({}) is None


def test_a_parameter_goes_before_the_environment(api: Api) -> None:
    way = reporter_from(api.environment, "a/b")
    assert way is not None
    assert (way.namespace, way.name) == ("a", "b")


def test_an_address_of_six_is_written_in_brackets() -> None:
    way = reporter_from({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, "a/b")
    assert way is not None
    assert way.access.server == "https://[fd00::1]:443"


class TestProgress:
    def test_the_newest_is_posted_and_not_each(self, api: Api, way: StepResultReporter) -> None:
        poster = ProgressPoster(way, interval_s=0.05)
        for done in range(1000):
            poster({"step": "shards", "activity": "reading", "done": done, "total": 999})
        until(lambda: held(api, "progress.json")["done"] == 999 if api.requests else False)
        poster.close()
        assert len(api.requests) < 100
        assert held(api, "progress.json") == {
            "step": "shards",
            "activity": "reading",
            "done": 999,
            "total": 999,
            "updated": 1000.0,
        }

    def test_a_failure_is_told_once_and_the_step_goes_on(
        self, api: Api, way: StepResultReporter, capsys: Any
    ) -> None:
        api.answers = [503, 403, 503]
        poster = ProgressPoster(way, interval_s=0.01)
        while api.answers:
            poster({"step": "shards", "activity": "reading", "done": 1, "total": 2})
        until(lambda: "progress.json" in api.config_maps["team/results"] or poster({}) is not None)
        poster.close()
        assert capsys.readouterr().err.count("progress could not be reported") == 1


def until(true: Any) -> None:
    pause, tries = threading.Event(), 0
    while not true():
        tries += 1
        assert tries < 3000, "half a minute is over"
        pause.wait(0.01)


def export(args: ExportArgs, progress: Progress) -> ExportResult:
    progress.report("exporting", 1, 2)
    return ExportResult(uri=args.output, digest="d", num_parameters=7)


def failing(args: ExportArgs, progress: Progress) -> ExportResult:
    raise UserError("the first line\nand the last")


class TestSteps:
    """The two places that start a step: a pipeline's component and a component's command line."""

    @pytest.fixture(autouse=True)
    def pod(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in api.environment.items():
            monkeypatch.setenv(name, value)
        for name in (launch.RESULTS_FOLDER, launch.PROGRESS_FILE, launch.LAUNCHER):
            monkeypatch.delenv(name, raising=False)

    def test_a_component_hands_its_result_over(self, api: Api) -> None:
        result = launch.run_in_pipeline("export", ExportArgs, export, ARGUMENTS)
        assert held(api, "export.json") == {"result": result.model_dump(mode="json")}

    def test_a_component_hands_it_where_its_parameter_says(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DAYBREAK_RESULTS_CONFIGMAP")
        api.config_maps["team/attempt-2"] = {}
        launch.run_in_pipeline("export", ExportArgs, export, ARGUMENTS, results_configmap="team/attempt-2")
        assert set(api.config_maps["team/attempt-2"]) >= {"export.json"}

    def test_a_component_hands_its_error_over(self, api: Api) -> None:
        with pytest.raises(UserError):
            launch.run_in_pipeline("export", ExportArgs, failing, ARGUMENTS)
        assert held(api, "export.json")["error"]["message"] == "the first line\nand the last"

    def test_wrong_arguments_are_handed_over_too(self, api: Api) -> None:
        with pytest.raises(UserError):
            launch.run_in_pipeline("export", ExportArgs, export, {**ARGUMENTS, "typo": 1})
        assert "typo" in held(api, "export.json")["error"]["message"]

    @pytest.mark.parametrize(
        ("run", "code", "key"), [pytest.param(export, 0, "result"), pytest.param(failing, 2, "error")]
    )
    def test_a_command_line_hands_over_beside_its_file(
        self, api: Api, tmp_path: Path, run: Any, code: int, key: str
    ) -> None:
        args, result = tmp_path / "args.json", tmp_path / "result.json"
        args.write_text(json.dumps(ARGUMENTS))
        argv = ["export", "--args-file", str(args), "--result", str(result)]
        assert steps.main({"export": Step(ExportArgs, run)}, argv) == code
        assert held(api, "export.json")[key] == json.loads(result.read_text())[key]

    def test_a_result_that_nobody_takes_fails_the_step(self, api: Api, tmp_path: Path) -> None:
        api.account.joinpath("token").unlink()
        way = reporter_from(api.environment, clock=Time().clock())
        with pytest.raises(UserError, match="automountServiceAccountToken"):
            launch.Reply("export", tmp_path / "result.json", way).result({"uri": "u"})
        assert json.loads((tmp_path / "result.json").read_text())["error"]["exitCode"] == 2

    def test_a_wrong_name_is_left_in_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(launch.RESULTS_FOLDER, str(tmp_path))
        with pytest.raises(UserError, match="must be <namespace>/<ConfigMap>"):
            launch.run_in_pipeline("export", ExportArgs, export, ARGUMENTS, results_configmap="nothing")
        assert json.loads((tmp_path / "export.json").read_text())["error"]["exitCode"] == 2


def test_the_last_words_are_one_line(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    launch.Reply("export", termination_log=log).error(UserError("nobody asked"))
    assert not log.exists()
    log.touch()
    launch.Reply("export", termination_log=log).error(UserError("the first line\nand the last"))
    assert log.read_text() == "export: the first line and the last"
    launch.Reply("export", termination_log=log).error(KeyboardInterrupt())
    assert log.read_text() == "export: KeyboardInterrupt"


def test_importing_the_reporter_is_light() -> None:
    code = "import sys, daybreak_contracts.result_reporter; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"pyarrow", "yaml", "fsspec", "pydantic", "kubernetes", "requests"}


class TestRealServer:
    """The same against a Kubernetes API server, as a service account that may do exactly this."""

    @pytest.fixture
    def pod_of(self, cluster: Reach, tmp_path: Path) -> Callable[[str], dict[str, str]]:
        """Return what makes the environment of a pod in a fresh namespace, whose account may patch ``results``."""
        namespace = cluster.namespace()
        kind = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"namespace": namespace, "name": "way"},
        }
        rule = {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "verbs": ["patch"],
            "resourceNames": ["results"],
        }
        cluster.apply({**kind, "kind": "Role", "rules": [rule]})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "way"}
        who = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
        cluster.apply({**kind, "kind": "RoleBinding", "roleRef": role, "subjects": [who]})
        for name in ("results", "others"):
            metadata = {"namespace": namespace, "name": name}
            cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        authority = config["clusters"][0]["cluster"]
        if "certificate-authority-data" in authority:
            text = base64.b64decode(authority["certificate-authority-data"])
        else:
            text = Path(authority["certificate-authority"]).read_bytes()
        (tmp_path / "ca.crt").write_bytes(text)
        (tmp_path / "token").write_text(
            cluster.kubectl("create", "token", "default", "-n", namespace).strip()
        )
        server = urlsplit(cluster.url)
        return lambda name: {
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "DAYBREAK_ACCOUNT_FOLDER": str(tmp_path),
            "DAYBREAK_RESULTS_CONFIGMAP": f"{namespace}/{name}",
        }

    def test_steps_write_beside_each_other(
        self, cluster: Reach, pod_of: Callable[[str], dict[str, str]]
    ) -> None:
        environment = pod_of("results")
        way = reporter_from(environment)
        assert way is not None
        assert way.held("shards") is None
        way.result("shards", {"uri": "s3://a"})
        way.error("xray", UserError("mend it"))
        way.progress({"step": "xray", "activity": "reading", "done": 1, "total": 2})
        assert way.held("shards") == {"result": {"uri": "s3://a"}}
        stored = cluster.get("configmap", "results", way.namespace)
        assert stored is not None
        assert set(stored["data"]) == {"shards.json", "xray.json", "progress.json"}

    def test_what_is_too_large_or_not_ours_is_refused(
        self, pod_of: Callable[[str], dict[str, str]], time: Time
    ) -> None:
        way = reporter_from(pod_of("results"), clock=time.clock())
        assert way is not None
        way.result("xray", {"uri": "x" * 700_000})
        with pytest.raises(UserError, match="refused with status 422"):
            way.result("shards", {"uri": "x" * 700_000})
        for name, words in (("others", "needs a Role with verb patch"), ("nowhere", "needs a Role")):
            other = reporter_from(pod_of(name), clock=time.clock())
            assert other is not None
            with pytest.raises(UserError, match=words):
                other.result("shards", {})
