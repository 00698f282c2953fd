"""The small pure parts of the shell: answers, paths, events, readings, what is gathered, signs of life, logs."""

from __future__ import annotations

import itertools
import json
import logging
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.metrics_snapshot import GatewaySnapshot, TrainerSnapshot
from daybreak_operator.core.plan import ObjectEvent
from daybreak_operator.core.training.observed.observation import PipelineRun
from daybreak_operator.settings import Settings
from daybreak_operator.shell import health, logs
from daybreak_operator.shell.kube import answers
from daybreak_operator.shell.kube.resources import NODES, PODS, RUNS, plural_in, resource_of
from daybreak_operator.shell.metrics.prometheus import HEALTHY, Metrics, Observations, gauges
from daybreak_operator.shell.metrics.snapshots import Readings, ScrapeTarget, targets
from daybreak_operator.shell.reconcile import events, gather
from daybreak_operator.shell.watches.keys import ObjectKey
from daybreak_operator.shell.watches.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ObjectKey(names.KIND_DEPLOYMENT, "here", "x")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, answers.RefusedError),
        (401, TransientError),
        (403, answers.RefusedError),
        (404, answers.NotFoundError),
        (409, answers.ConflictError),
        (410, answers.GoneError),
        (422, answers.RefusedError),
        (429, answers.BusyError),
        (500, TransientError),
        (503, TransientError),
    ],
)
def test_an_answer_says_who_can_mend_it(code: int, kind: type[Exception]) -> None:
    body = json.dumps({"message": "the sentence", "reason": "Because"}).encode()
    error = answers.error_of(code, body, {"Retry-After": "7"})
    assert type(error) is kind
    assert str(error).startswith("the sentence")
    if isinstance(error, answers.BusyError):
        assert error.retry_after_s == 7.0


def test_an_answer_that_is_no_json_is_told_as_it_is() -> None:
    assert str(answers.error_of(403, b"<html>", {})) == "<html>"
    assert str(answers.error_of(404, b"", {})) == "HTTP 404"


def test_where_things_lie() -> None:
    for resource in (PODS, NODES, RUNS):
        assert plural_in(resource.path()) == resource.plural
        assert plural_in(resource.path("a", "b", "status")) == resource.plural
    assert plural_in("/apis/apps/v1") == ""
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("a", "b", "log") == "/api/v1/namespaces/a/pods/b/log"
    assert NODES.path("ignored", "n") == "/api/v1/nodes/n"
    assert RUNS.path("a") == "/apis/daybreak.dev/v1alpha1/namespaces/a/trainingruns"
    with pytest.raises(KeyError):
        resource_of("v1", "Unheard")


def test_an_event_is_named_by_what_it_says_and_when() -> None:
    about = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_RUN,
        "metadata": {"name": "x", "namespace": "here", "uid": "u", "resourceVersion": "1"},
    }
    first = events.body_of(ObjectEvent("Warning", "Why", "long " * 1000), about, NOW)
    same = events.body_of(ObjectEvent("Warning", "Why", "long " * 1000), about, NOW)
    later = events.body_of(ObjectEvent("Warning", "Why", "long " * 1000), about, NOW + timedelta(seconds=1))
    assert first == same
    assert first["metadata"]["name"] != later["metadata"]["name"]
    assert len(first["message"]) == events.MAX_MESSAGE


def pod(role: str, **changed: Any) -> dict[str, Any]:
    labels = {names.LABEL_OWNER_UID: "u", names.LABEL_ROLE: role, **changed.pop("labels", {})}
    metadata = {"name": "pod", "namespace": "here", "uid": "p", "resourceVersion": "1", "labels": labels}
    status = {"phase": "Running", "podIP": "10.0.0.1", **changed.pop("status", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, **changed}, "status": status}


MASTER = {"training.kubeflow.org/replica-type": "Master"}


@pytest.mark.parametrize(
    ("child", "urls"),
    [
        pytest.param(pod("gateway"), ["http://10.0.0.1:9090/snapshot"], id="a-gateway"),
        pytest.param(pod("gateway", status={"podIP": "fd::1"}), ["http://[fd::1]:9090/snapshot"], id="ipv6"),
        pytest.param(
            pod("training", labels=MASTER), ["http://10.0.0.1:8080/progress"], id="the-first-trainer"
        ),
        pytest.param(pod("training"), [], id="another-trainer"),
        pytest.param(pod("engine"), [], id="an-engine"),
        pytest.param(pod("gateway", status={"phase": "Pending"}), [], id="not-yet-there"),
        pytest.param(pod("gateway", deletionTimestamp="2026-01-01T00:00:00Z"), [], id="going"),
    ],
)
def test_who_is_asked_for_metrics(child: dict[str, Any], urls: list[str]) -> None:
    store = Store()
    metadata = {"name": "x", "namespace": "here", "uid": "u", "resourceVersion": "1"}
    scaling = {"intervalSeconds": 7}
    store.put({"apiVersion": "", "kind": KEY.kind, "metadata": metadata, "spec": {"scaling": scaling}})
    store.put_child(child)
    found = list(targets(store))
    assert [target.url for target in found] == urls
    assert [target.every_s for target in found if target.kind == "gateway"] in ([], [7.0])


@pytest.mark.parametrize(
    ("scaling", "every_s"),
    [
        ({"intervalSeconds": 60}, 60.0),
        ({"intervalSeconds": 60, "scaleToZeroSeconds": 300}, 5.0),
        ({"intervalSeconds": 2, "scaleToZeroSeconds": 300}, 2.0),
    ],
)
def test_a_held_request_is_seen_within_seconds(scaling: dict[str, int], every_s: float) -> None:
    store = Store()
    metadata = {"name": "x", "namespace": "here", "uid": "u", "resourceVersion": "1"}
    store.put({"apiVersion": "", "kind": KEY.kind, "metadata": metadata, "spec": {"scaling": scaling}})
    store.put_child(pod("gateway"))
    assert [target.every_s for target in targets(store)] == [every_s]


UIDS = st.sampled_from(["u", "v"])
CHANGES = st.one_of(
    st.tuples(st.just("own"), UIDS, st.integers(5, 7)),
    st.tuples(st.just("no own"), UIDS, st.just(0)),
    st.tuples(st.just("pod"), UIDS, st.sampled_from(["10.0.0.1", "10.0.0.2", ""])),
    st.tuples(st.just("no pod"), UIDS, st.just(0)),
)


@given(st.lists(CHANGES, max_size=12))
def test_whoever_is_to_be_asked_anew_the_cache_says_that_something_changed(changes: list[Any]) -> None:
    store, before = Store(), (0, list[ScrapeTarget]())
    for version, (what, uid, value) in enumerate(changes, 1):
        metadata = {"name": "x", "namespace": "here", "uid": uid, "resourceVersion": str(version)}
        own = {"apiVersion": "", "kind": KEY.kind, "metadata": metadata}
        labels = {names.LABEL_OWNER_UID: uid}
        child = pod("gateway", labels=labels, status={"podIP": value}, resourceVersion=str(version))
        if what == "own":
            store.put({**own, "spec": {"scaling": {"intervalSeconds": value}}})
        elif what == "no own":
            store.drop(own)
        elif what == "pod":
            store.put_child(child)
        else:
            store.drop_child(child)
        after = store.generation, list(targets(store))
        assert after[0] > before[0] or after[1] == before[1]
        before = after


def target(uid: str = "p", key: ObjectKey = KEY) -> ScrapeTarget:
    return ScrapeTarget(key, uid, uid, "http://x", "gateway", 5.0)


def reading(arrivals: int, started: float = 1.0, instance: str = "one") -> GatewaySnapshot:
    return GatewaySnapshot(instance=instance, started=started, at=0.0, arrivals=arrivals)


class TestReadings:
    def make(self) -> tuple[Readings, list[float]]:
        now = [0.0]
        return Readings(lambda: now[0]), now

    def test_a_pod_is_asked_once_an_interval(self) -> None:
        readings, now = self.make()
        asked = []
        for now[0] in (0.0, 1.0, 4.9, 5.0, 9.0, 10.0):
            asked += [now[0] for _ in readings.due([target()])]
        assert asked == [0.0, 5.0, 10.0]

    def test_a_reading_is_fresh_for_three_intervals_and_gone_with_its_pod(self) -> None:
        readings, now = self.make()
        readings.due([target()])
        readings.take(target(), reading(1))
        now[0] = 15.0
        assert readings.gateways(KEY) == (reading(1),)
        now[0] = 15.1
        assert readings.gateways(KEY) == ()
        now[0] = 0.0
        readings.due([])
        assert readings.gateways(KEY) == ()

    @pytest.mark.parametrize(
        ("later", "next_reading", "is_news"),
        [
            pytest.param(5.0, reading(1), False, id="an-idle-gateways-next-reading"),
            pytest.param(5.0, reading(1).model_copy(update={"at": 7.0}), False, id="its-time-alone"),
            pytest.param(5.0, reading(2), True, id="one-more-request"),
            pytest.param(5.0, reading(1, started=9.0), True, id="a-gateway-that-restarted"),
            pytest.param(16.0, reading(1), True, id="the-same-after-the-last-one-was-too-old"),
        ],
    )
    def test_a_reading_is_news(self, later: float, next_reading: GatewaySnapshot, is_news: bool) -> None:
        readings, now = self.make()
        assert readings.take(target(), reading(1))
        now[0] = later
        assert readings.take(target(), next_reading) is is_news
        assert readings.gateways(KEY) == (next_reading,)

    def test_a_trainers_heartbeat_is_news(self) -> None:
        readings, _ = self.make()
        for updated in (1.0, 2.0):
            assert readings.take(target(), TrainerSnapshot(updated=updated))

    def test_a_pod_that_does_not_answer_is_news_once_when_its_reading_gets_too_old(self) -> None:
        readings, now = self.make()
        said = [readings.missed(target())]
        readings.take(target(), reading(1))
        for now[0] in (5.0, 10.0, 15.0, 15.1, 20.0):
            said.append(readings.missed(target()))
        assert said == [False, False, False, False, True, False]

    def test_one_that_never_answers_is_asked_less_and_less_until_it_does(self) -> None:
        readings, now = self.make()
        asked = []
        for second in range(300):
            now[0] = float(second)
            if readings.due([target()]):
                asked.append(second)
                readings.missed(target())
        assert [later - one for one, later in itertools.pairwise(asked)] == [5, 5, 10, 20, 40, 60, 60, 60]
        readings.take(target(), reading(1))
        now[0] = asked[-1] + 5.0
        assert readings.due([target()])

    def test_it_is_known_for_how_long_a_pod_was_asked_in_vain(self) -> None:
        readings, now = self.make()
        readings.due([target()])
        assert readings.silent(KEY) == {}
        for now[0] in (1.0, 31.0):
            readings.missed(target())
        now[0] = 61.0
        assert readings.silent(KEY) == {"p": 60.0}
        assert readings.silent(ObjectKey("ModelDeployment", "here", "other")) == {}
        readings.take(target(), reading(1))
        assert readings.silent(KEY) == {}
        readings.missed(target())
        readings.due([])
        assert readings.silent(KEY) == {}

    def test_the_newest_attempts_progress_counts(self) -> None:
        readings, _ = self.make()
        for uid, attempt in (("a", 2), ("b", 1)):
            readings.take(target(uid), TrainerSnapshot(attempt=attempt, updated=9.0 - attempt))
        found = readings.progress(KEY)
        assert found is not None
        assert found.attempt == 2
        assert readings.progress(ObjectKey("TrainingRun", "here", "other")) is None

    def test_guardrails_compare_with_the_windows_first_readings(self) -> None:
        readings, _ = self.make()
        for arrivals, window, before in [(1, "A", 1), (5, "A", 1), (9, "B", 9), (12, "B", 9)]:
            readings.take(target(), reading(arrivals))
            assert [snapshot.arrivals for snapshot in readings.earlier(KEY, window)] == [before]
        readings.take(target("other"), reading(100, instance="two"))
        assert [snapshot.arrivals for snapshot in readings.earlier(KEY, "B")] == [9, 100]
        readings.take(target(), reading(2, started=50.0))
        assert [snapshot.arrivals for snapshot in readings.earlier(KEY, "B")] == [2, 100]


class TestMetrics:
    def store(self) -> Store:
        store = Store()
        metadata = {"namespace": "here", "uid": "d", "resourceVersion": "1", "name": "x"}
        zones = [
            {"pool": 'l4 "spot"', "zone": zone, "state": state}
            for zone, state in (("a", "Up"), ("b", "BackingOff"))
        ]
        status = {
            "zones": zones,
            "costPerHour": "1.5",
            "conditions": [{"type": "Stalled", "status": "True", "reason": "NameTaken"}],
        }
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND_DEPLOYMENT, "metadata": metadata}
        store.put({**body, "spec": {}, "status": status})
        run = {"apiVersion": names.API_VERSION, "kind": names.KIND_RUN, "spec": {}}
        store.put({**run, "metadata": {**metadata, "uid": "r"}, "status": {"restarts": 2}})
        return store

    def samples(self, metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        families = text_string_to_metric_families(metrics.text().decode())
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def test_what_is_told_of_objects_is_read_by_prometheus(self) -> None:
        store, metrics = self.store(), Metrics()
        metrics.observe(Observations([], lambda: (0, 0.0), lambda: True), store)
        found = self.samples(metrics)
        at = (("name", "x"), ("namespace", "here"))
        assert found["daybreak_cost_per_hour", at] == 1.5
        assert found["daybreak_run_restarts", at] == 2.0
        assert found["daybreak_rollout_stage", (*at, ("stage", "None"))] == 1.0
        assert found["daybreak_stalled", (("kind", names.KIND_DEPLOYMENT), *at)] == 1.0
        assert found["daybreak_stalled", (("kind", names.KIND_RUN), *at)] == 0.0
        condition = {"kind": names.KIND_DEPLOYMENT, **dict(at), "type": "Stalled", "status": "True"}
        labels = tuple(sorted({**condition, "reason": "NameTaken"}.items()))
        assert found["daybreak_condition", labels] == 1.0
        zones = {
            zone: found["daybreak_zone_backing_off", (*at, ("pool", 'l4 "spot"'), ("zone", zone))]
            for zone in "ab"
        }
        assert zones == {"a": 0.0, "b": 1.0}

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ({"TrainingHealthy": "False"}, 0.0),
            ({"TrainingHealthy": "True", "Trained": "False"}, 1.0),
            ({"TrainingHealthy": "False", "Trained": "True"}, None),
            ({"TrainingHealthy": "False", "Finished": "True"}, None),
        ],
        ids=["unhealthy", "healthy", "trained", "over"],
    )
    def test_the_guard_is_told_of_while_a_training_goes_on(
        self, said: dict[str, str], told: float | None
    ) -> None:
        """What a training ended with stays in its status: the alert on it never ended."""
        conditions = [{"type": kind, "status": status} for kind, status in said.items()]
        body = {
            "kind": names.KIND_RUN,
            "metadata": {"name": "x", "namespace": "here"},
            "status": {"conditions": conditions},
        }
        found = [value for family, _, value in gauges(body) if family is HEALTHY]
        assert found == ([] if told is None else [told])

    def test_a_newer_version_and_a_gone_object_are_seen(self) -> None:
        store, metrics = self.store(), Metrics()
        metrics.observe(Observations([], lambda: (0, 0.0), lambda: True), store)
        metrics.text()
        run = store.get(ObjectKey(names.KIND_RUN, "here", "x")) or {}
        store.put({**run, "metadata": {**run["metadata"], "resourceVersion": "2"}, "status": {"restarts": 3}})
        store.drop(store.get(KEY) or {})
        found = self.samples(metrics)
        assert found["daybreak_run_restarts", (("name", "x"), ("namespace", "here"))] == 3.0
        assert not [name for name, _ in found if name == "daybreak_rollout_weight"]


class TestGathered:
    @pytest.mark.parametrize(
        ("change", "begins_anew"),
        [
            pytest.param({"stage": "Starved"}, False, id="another name of the stage for the same users"),
            pytest.param({"verdict": "within its guardrails"}, False, id="what the guardrails say"),
            pytest.param({"uri": "s3://elsewhere"}, False, id="a folder that moved"),
            pytest.param({"weight": 50, "since": "2026-01-01T00:01:00Z"}, True, id="more users"),
            pytest.param({"since": "2026-01-01T00:01:00Z"}, True, id="staff who get it or do not any more"),
            pytest.param({"digest": "2" * 64}, True, id="another model"),
        ],
    )
    def test_a_guardrails_window_begins_anew_with_other_users_or_another_model_only(
        self, change: dict[str, Any], begins_anew: bool
    ) -> None:
        candidate = {"digest": "1" * 64, "stage": "Ramp", "weight": 10, "since": "2026-01-01T00:00:00Z"}
        before = gather.window_of({"status": {"candidate": candidate}})
        after = gather.window_of({"status": {"candidate": {**candidate, **change}}})
        assert (before != after) is begins_anew

    def test_secrets_that_are_named_are_found(self) -> None:
        body = {
            "metadata": {"namespace": "here"},
            "spec": {
                "tracking": {"wandb": {"secretRef": "wandb"}},
                "signature": {"publicKeySecretRef": {"name": "key"}},
                "gateway": {"auth": {"apiKeysSecretRef": {"name": "people"}}},
            },
        }
        found = gather.named_secrets(body, Settings(storage_secret="storage"))
        assert [secret.name for secret in found] == ["wandb", "key", "people", "storage"]
        assert "create it, or correct spec.tracking.wandb.secretRef" in found[0].sentence
        assert gather.named_secrets({"metadata": {"namespace": "here"}}, Settings()) == []

    @pytest.mark.parametrize(
        ("settings", "places"),
        [
            pytest.param(Settings(kubeflow_namespace="pipes"), ["here"], id="of pipelines that are Jobs"),
            pytest.param(
                Settings(kubeflow_namespace="pipes", backend="KubeflowPipelines"),
                ["here", "pipes"],
                id="where Kubeflow runs them too",
            ),
            pytest.param(Settings(backend="KubeflowPipelines"), ["here"], id="of Kubeflow with profiles"),
        ],
    )
    def test_of_storage_are_needed_wherever_pods_of_a_run_are(
        self, settings: Settings, places: list[str]
    ) -> None:
        run = {"kind": names.KIND_RUN, "metadata": {"namespace": "here"}}
        found = gather.named_secrets(run, settings.model_copy(update={"storage_secret": "storage"}))
        assert [named.namespace for named in found] == places

    def test_a_missing_secret_is_looked_for_sooner_than_one_that_is_there(self) -> None:
        now = [0.0]
        secrets = gather.Secrets(Vault({"there"}), lambda: now[0])  # type: ignore[arg-type]
        wanted = [gather.Named("here", name, "spec") for name in ("there", "missing", "unknown")]
        assert secrets.stale(wanted) == wanted
        assert secrets.missing(wanted) == ()
        secrets.ask(wanted)
        assert secrets.missing(wanted) == (wanted[1].sentence,)
        assert secrets.stale(wanted) == []
        now[0] = gather.SECRET_MISSING_S
        assert secrets.stale(wanted) == [wanted[1]]
        now[0] = gather.SECRET_THERE_S
        assert secrets.stale(wanted) == wanted

    @pytest.mark.parametrize(
        ("condition", "seconds"),
        [
            pytest.param({"status": "False", "reason": "Unschedulable"}, 30.0, id="no-node-takes-it"),
            pytest.param({"status": "False", "reason": "SchedulingGated"}, None, id="it-is-held-back"),
            pytest.param({"status": "True"}, None, id="one-took-it"),
        ],
    )
    def test_how_long_no_node_takes_a_pod(self, condition: dict[str, str], seconds: float | None) -> None:
        said = {"type": "PodScheduled", "lastTransitionTime": "2025-12-31T23:59:30Z", **condition}
        assert gather.unschedulable_s({"status": {"conditions": [said]}}, NOW) == seconds
        assert gather.unschedulable_s({"status": {}}, NOW) is None

    def test_a_back_end_that_is_down_says_nothing_of_any_run(self) -> None:
        class Down:
            def get(self, run_id: str) -> PipelineRun:
                if run_id == "b":
                    raise TransientError("away")
                return PipelineRun("Running")

        down: Any = Down()
        assert gather.ask_pipelines(down, ("a",)).pipelines == {"a": PipelineRun("Running")}
        assert gather.ask_pipelines(down, ("a", "b")) == gather.ExternalState({}, "away")
        assert gather.ask_pipelines(None, ()) == gather.ExternalState()
        assert "DAYBREAK_KUBEFLOW_URL" in str(gather.ask_pipelines(None, ("a",)).backend_error)


class Vault:
    """Which Secrets are there; one can't be asked for."""

    def __init__(self, there: set[str]) -> None:
        self.there = there

    def exists(self, resource: Any, namespace: str, name: str) -> bool:
        if name == "unknown":
            raise TransientError("away")
        return name in self.there


def test_signs_of_life_that_are_too_old_are_named() -> None:
    now = [0.0]
    pulse = health.Pulse(lambda: now[0])
    signs = [health.Sign("loop", pulse.age_s, 60.0), health.Sign("work", lambda: 5.0, 10.0)]
    now[0] = 60.0
    assert health.failed_checks(signs) == []
    now[0] = 61.0
    assert health.failed_checks(signs) == ["loop: 61 s > 60 s"]
    pulse.beat()
    assert health.failed_checks(signs) == []


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} can't be opened: .*DAYBREAK_PORT"):
            await health.serve(port, [], lambda: True, Metrics())


def test_a_log_line_is_json_with_its_fields() -> None:
    record = logging.makeLogRecord({"name": "x", "levelname": "INFO", "msg": "changed", "object": "first"})
    line = json.loads(logs.JsonFormatter().format(record))
    assert (line["message"], line["level"], line["object"]) == ("changed", "info", "first")
    assert line["time"].endswith("+00:00")
