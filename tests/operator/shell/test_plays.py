"""Plays on a real API server: what the operator does to objects, whatever happens to them and to it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_operator.core.plan import Plan
from daybreak_operator.settings import Settings
from daybreak_operator.shell import health, preflight
from daybreak_operator.shell.kube import client as kube
from tests.cluster.reach import Reach, wait_for
from tests.operator.shell.proxy import Proxy
from tests.operator.shell.replica import QUICK, SIMPLE, Replica, calm, config_map, one_child, one_child_of

RUN = {
    "apiVersion": names.API_VERSION,
    "kind": names.KIND_RUN,
    "spec": {
        "output": {"uri": "s3://models/x"},
        "data": {"sources": [{"name": "own", "directory": {"path": "/src"}}], "languages": ["python"]},
        "model": {"size": "1m"},
    },
}
DEPLOYMENT = {
    "apiVersion": names.API_VERSION,
    "kind": names.KIND_DEPLOYMENT,
    "spec": {
        "model": {"trainingRunRef": {"name": "first"}},
        "pools": [{"name": "l4", "accelerator": "nvidia-l4", "zones": ["a"], "market": "Spot", "max": 1}],
    },
}


@pytest.fixture
def namespace(cluster: Reach) -> str:
    return cluster.namespace()


def replica(cluster: Reach, namespace: str, **changed: Any) -> Replica:
    return Replica(str(cluster.kubeconfig), namespace, **changed)


def make(
    cluster: Reach, namespace: str, template: dict[str, Any] = RUN, name: str = "first"
) -> dict[str, Any]:
    return cluster.apply({**template, "metadata": {"name": name, "namespace": namespace}})[0]


def settled(cluster: Reach, namespace: str, kind: str = "trainingrun", name: str = "first") -> dict[str, Any]:
    def found() -> Any:
        own = cluster.get(kind, name, namespace) or {}
        seen = (own.get("status") or {}).get("observedGeneration")
        return own if own and seen == own["metadata"]["generation"] else None

    return dict(wait_for(f"a status of {name}", found))


def child(cluster: Reach, namespace: str, name: str = "first-child") -> dict[str, Any] | None:
    return cluster.get("configmap", name, namespace)


def grown(cluster: Reach, namespace: str) -> dict[str, Any]:
    """The child of a run: a new object has its first status before it."""
    return dict(wait_for("a child", lambda: child(cluster, namespace)))


def stalled(
    cluster: Reach, namespace: str, status: str = "True", name: str = "first", kind: str = "trainingrun"
) -> dict[str, Any]:
    def found() -> Any:
        said = ((cluster.get(kind, name, namespace) or {}).get("status") or {}).get("conditions", [])
        return next((c for c in said if c["type"] == "Stalled" and c["status"] == status), None)

    return dict(wait_for(f"Stalled={status}", found))


def requests(running: Replica) -> Iterator[tuple[str, str, float]]:
    """How often was asked: verb, resource, times."""
    for family in running.operator.metrics.registry.collect():
        for sample in family.samples:
            if sample.name == "daybreak_api_requests_total":
                yield sample.labels["verb"], sample.labels["resource"], sample.value


def writes(running: Replica) -> float:
    """Requests that change something, but for the Lease's renewals."""
    return sum(
        number
        for verb, resource, number in requests(running)
        if verb != "GET" and resource not in ("leases", "selfsubjectaccessreviews")
    )


def renewals(running: Replica) -> float:
    return sum(number for verb, what, number in requests(running) if (verb, what) == ("PUT", "leases"))


def reads(running: Replica) -> float:
    return sum(number for verb, what, number in requests(running) if verb == "GET" and what != "leases")


def passes(running: Replica) -> float:
    families = running.operator.metrics.registry.collect()
    samples = [sample for family in families for sample in family.samples]
    return sum(s.value for s in samples if s.name == "daybreak_reconcile_seconds_count")


class TestOneObject:
    def test_gets_its_child_then_one_status_then_one_event(self, cluster: Reach, namespace: str) -> None:
        with replica(cluster, namespace) as running:
            wait_for("a leader", running.operator.leadership.held)
            before = writes(running)
            make(cluster, namespace)
            run = settled(cluster, namespace)
            made = grown(cluster, namespace)
            wait_for("the event", lambda: cluster.kubectl("get", "events", "-n", namespace, "-o", "name"))
            seen = passes(running)
            running.wake("TrainingRun", namespace, "first")
            wait_for("another pass", lambda: passes(running) > seen)
            assert made["metadata"]["ownerReferences"][0]["uid"] == run["metadata"]["uid"]
            assert writes(running) - before == 3
        assert (
            settled(cluster, namespace)["metadata"]["resourceVersion"] == run["metadata"]["resourceVersion"]
        )

    def test_carries_nothing_of_kopf(self, cluster: Reach, namespace: str) -> None:
        make(cluster, namespace)
        with replica(cluster, namespace):
            metadata = settled(cluster, namespace)["metadata"]
        assert "finalizers" not in metadata
        assert not [name for name in metadata.get("annotations", {}) if "kopf" in name]

    def test_has_its_deleted_child_made_anew(self, cluster: Reach, namespace: str) -> None:
        make(cluster, namespace)
        with replica(cluster, namespace):
            old = grown(cluster, namespace)
            cluster.kubectl("delete", "configmap", "first-child", "-n", namespace)
            wait_for(
                "another child",
                lambda: (c := child(cluster, namespace)) and c["metadata"]["uid"] != old["metadata"]["uid"],
            )

    def test_has_its_edited_child_repaired_and_additions_left_alone(
        self, cluster: Reach, namespace: str
    ) -> None:
        make(cluster, namespace)
        with replica(cluster, namespace):
            grown(cluster, namespace)
            edit = json.dumps({"data": {"size": "9", "mine": "yes"}})
            cluster.kubectl("patch", "configmap", "first-child", "-n", namespace, "--type=merge", "-p", edit)
            wait_for(
                "the repair",
                lambda: (c := child(cluster, namespace)) and c["data"] == {"size": "1", "mine": "yes"},
            )

    @pytest.mark.parametrize(
        ("template", "kind", "data"),
        [
            pytest.param(RUN, "trainingrun", {"size": "1"}, id="a run"),
            pytest.param(DEPLOYMENT, "modeldeployment", {"size": "1"}, id="a deployment"),
            pytest.param(RUN, "trainingrun", {}, id="without a field that could conflict"),
        ],
    )
    def test_takes_nothing_that_somebody_else_made(
        self, cluster: Reach, namespace: str, template: dict[str, Any], kind: str, data: dict[str, str]
    ) -> None:
        theirs = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"size": "theirs"}}
        before = cluster.apply({**theirs, "metadata": {"name": "first-child", "namespace": namespace}})[0]
        make(cluster, namespace, template)
        with replica(cluster, namespace, decisions=one_child_of(data)):
            said = stalled(cluster, namespace, kind=kind)
            assert said["reason"] == "NameTaken"
            assert "ConfigMap first-child exists and does not belong to this" in said["message"]
            found = child(cluster, namespace)
            assert found is not None
            assert found["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
            cluster.kubectl("delete", "configmap", "first-child", "-n", namespace)
            stalled(cluster, namespace, "False", kind=kind)
            made = grown(cluster, namespace)
            assert made["metadata"]["labels"][names.LABEL_OWNER] == "first"

    def test_that_is_refused_says_so_and_others_go_on(self, cluster: Reach, namespace: str) -> None:
        def decide(observed: Any, now: datetime) -> Plan:
            own = getattr(observed, "run", None) or observed.deployment
            plan = one_child(observed, now)
            if own["metadata"]["name"] != "bad":
                return plan
            broken = {**config_map(own, {}), "data": {"not a key!": "x"}}
            return replace(plan, apply=(broken,))

        make(cluster, namespace, name="bad")
        with replica(cluster, namespace, decisions=replace(SIMPLE, training=decide)):
            said = stalled(cluster, namespace, name="bad")
            make(cluster, namespace)
            settled(cluster, namespace)
        assert said["reason"] == "ApplyFailed"
        assert "not a key!" in said["message"]

    def test_over_quota_says_so_in_the_servers_words(self, cluster: Reach, namespace: str) -> None:
        hard = {"count/configmaps": "0"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"hard": hard}}
        cluster.apply({**quota, "metadata": {"name": "none", "namespace": namespace}})
        status = json.dumps({"status": {"hard": hard, "used": hard}})
        cluster.kubectl(
            *("patch", "resourcequota", "none", "-n", namespace, "--subresource=status"),
            "--type=merge",
            "-p",
            status,
        )
        make(cluster, namespace)
        with replica(cluster, namespace):
            said = stalled(cluster, namespace)
            assert said["reason"] == "QuotaExceeded"
            assert "exceeded quota: none" in said["message"]

    def test_that_shows_a_bug_does_not_stop_the_others(self, cluster: Reach, namespace: str) -> None:
        def decide(observed: Any, now: datetime) -> Plan:
            if observed.run["metadata"]["name"] == "bad":
                raise ZeroDivisionError("a bug")
            return one_child(observed, now)

        make(cluster, namespace, name="bad")
        with replica(cluster, namespace, decisions=replace(SIMPLE, training=decide)):
            said = stalled(cluster, namespace, name="bad")
            make(cluster, namespace)
            settled(cluster, namespace)
        assert said["reason"] == "InternalError"
        assert "ZeroDivisionError: a bug" in said["message"]

    def test_holds_the_finalizer_only_while_it_is_wanted(self, cluster: Reach, namespace: str) -> None:
        def decide(observed: Any, now: datetime) -> Plan:
            going = "deletionTimestamp" in observed.run["metadata"]
            return Plan(status=calm(observed, now), finalizer=not going)

        make(cluster, namespace)
        with replica(cluster, namespace, decisions=replace(SIMPLE, training=decide)):
            assert settled(cluster, namespace)["metadata"]["finalizers"] == [names.FINALIZER]
            cluster.kubectl("delete", "trainingrun", "first", "-n", namespace, "--wait=false")
            wait_for("its end", lambda: cluster.get("trainingrun", "first", namespace) is None)

    def test_whose_time_is_over_deletes_itself(self, cluster: Reach, namespace: str) -> None:
        def decide(observed: Any, now: datetime) -> Plan:
            seen = (observed.run.get("status") or {}).get("observedGeneration")
            return Plan(status=calm(observed, now), delete_self=seen is not None, requeue_after_s=0.2)

        make(cluster, namespace)
        with replica(cluster, namespace, decisions=replace(SIMPLE, training=decide)):
            wait_for("its end", lambda: cluster.get("trainingrun", "first", namespace) is None)

    def test_that_follows_a_run_is_decided_anew_when_the_run_changes(
        self, cluster: Reach, namespace: str
    ) -> None:
        def decide(observed: Any, now: datetime) -> Plan:
            run = observed.followed
            url = "none" if run is None else str(run["spec"].get("suspend") or "plain")
            return Plan(status={**calm(observed, now), "url": url})

        make(cluster, namespace, DEPLOYMENT, "follower")
        with replica(cluster, namespace, decisions=replace(SIMPLE, deployment=decide)):
            for act, url in [
                (lambda: None, "none"),
                (lambda: make(cluster, namespace), "plain"),
                (lambda: cluster.kubectl("patch", "trun", "first", "-n", namespace, *SUSPENDED), "True"),
                (lambda: cluster.kubectl("delete", "trun", "first", "-n", namespace), "none"),
            ]:
                act()
                wait_for(
                    f"url {url}",
                    lambda url=url: (
                        settled(cluster, namespace, "modeldeployment", "follower")["status"]["url"] == url
                    ),
                )


SUSPENDED = ("--type=merge", "-p", json.dumps({"spec": {"suspend": True}}))


class TestTroubles:
    def test_an_api_server_that_restarts_is_survived(self, cluster: Reach, namespace: str) -> None:
        make(cluster, namespace)
        with replica(cluster, namespace) as running:
            grown(cluster, namespace)
            cluster.restart_apiserver()
            make(cluster, namespace, name="second")
            settled(cluster, namespace, name="second")
            cluster.kubectl("delete", "configmap", "first-child", "-n", namespace)
            wait_for("another child", lambda: child(cluster, namespace))
        assert running.ended_with == []

    def test_watches_that_went_silent_are_taken_up_again(
        self, cluster: Reach, namespace: str, tmp_path: Path
    ) -> None:
        make(cluster, namespace)
        port = urlsplit(cluster.url).port
        assert port is not None
        with Proxy(port) as proxy:
            kubeconfig = tmp_path / "kubeconfig"
            there = f"https://127.0.0.1:{proxy.port}"
            kubeconfig.write_text(cluster.kubeconfig.read_text().replace(cluster.url, there))
            with Replica(str(kubeconfig), namespace) as running:
                grown(cluster, namespace)
                assert proxy.silence() > 10
                cluster.kubectl("delete", "configmap", "first-child", "-n", namespace)
                make(cluster, namespace, name="second")
                wait_for("another child", lambda: child(cluster, namespace))
                settled(cluster, namespace, name="second")
            assert running.ended_with == []

    def test_an_api_server_that_answers_nothing_ends_the_process(
        self, cluster: Reach, namespace: str
    ) -> None:
        impatient = replace(QUICK, silence_s=1.0, margin_s=2.0)
        with replica(cluster, namespace, timing=impatient) as running:
            wait_for("the caches", lambda: running.operator.synced)
            with cluster.freeze_apiserver():
                wait_for("the end", lambda: running.ended_with)
                assert health.failed_checks(running.operator.signs())
        assert running.ended_with == [health.EXIT_STUCK]

    def test_an_idle_operator_writes_nothing_and_asks_next_to_nothing(
        self, cluster: Reach, namespace: str
    ) -> None:
        for number in range(5):
            make(cluster, namespace, name=f"run-{number}")
            make(cluster, namespace, DEPLOYMENT, f"deployment-{number}")
        with replica(cluster, namespace, timing=replace(QUICK, silence_s=70.0)) as running:
            for number in range(5):
                settled(cluster, namespace, "trainingrun", f"run-{number}")
                settled(cluster, namespace, "modeldeployment", f"deployment-{number}")
            wait_for("events", lambda: writes(running) >= 30)
            before, read, renewed = writes(running), reads(running), renewals(running)
            wait_for("ten renewals", lambda: renewals(running) >= renewed + 10)
            assert writes(running) == before
            assert reads(running) - read <= 10  # kinds that were absent are asked for again


class TestReplicas:
    def start(self, cluster: Reach, namespace: str, me: str) -> subprocess.Popen[bytes]:
        given = {"kubeconfig": str(cluster.kubeconfig), "namespace": namespace, "me": me}
        command = [sys.executable, "-m", "tests.operator.shell.replica", json.dumps(given)]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def holder(self, cluster: Reach, namespace: str) -> str:
        lease = cluster.get("lease", names.LEASE, namespace)
        return "" if lease is None else str(lease["spec"].get("holderIdentity", ""))

    def test_one_that_waits_takes_over_from_one_that_was_killed(self, cluster: Reach, namespace: str) -> None:
        first = self.start(cluster, namespace, "killed")
        try:
            wait_for("a leader", lambda: self.holder(cluster, namespace) == "killed")
            with replica(cluster, namespace, me="heir") as heir:
                wait_for("warm caches", lambda: heir.operator.synced)
                assert not heir.operator.leadership.held()
                first.send_signal(signal.SIGKILL)
                first.wait()
                make(cluster, namespace)
                settled(cluster, namespace)
                assert self.holder(cluster, namespace) == "heir"
            assert self.holder(cluster, namespace) == ""
        finally:
            first.kill()
            first.wait()

    def test_one_that_stood_still_writes_nothing_when_it_wakes(self, cluster: Reach, namespace: str) -> None:
        with replica(cluster, namespace, me="other") as running:
            wait_for("a leader", running.operator.leadership.held)
            taken = json.dumps({"spec": {"holderIdentity": "usurper"}})
            cluster.kubectl("patch", "lease", names.LEASE, "-n", namespace, "--type=merge", "-p", taken)
            wait_for("stepping down", lambda: not running.operator.leadership.held())
            before = writes(running)
            make(cluster, namespace)
            wait_for("taking over", running.operator.leadership.held)
            settled(cluster, namespace)
            assert writes(running) > before


class TestWhatIsMissing:
    def test_rights_are_named(self, cluster: Reach, namespace: str, tmp_path: Path) -> None:
        cluster.kubectl("create", "serviceaccount", "poor", "-n", namespace)
        client = kube.connect({}, str(cluster.kubeconfig_of("poor", namespace, tmp_path)))
        with pytest.raises(
            UserError, match=r"may not: list trainingruns in .*update modeldeployments/status"
        ):
            preflight.check(client, Settings(namespace=namespace, watch_namespaces=(namespace,)))

    def test_kinds_are_named(self, cluster: Reach) -> None:
        class Poor(kube.Kube):
            def serves(self, resource: Any) -> bool:
                return resource.kind != names.KIND_DEPLOYMENT

        client = kube.connect({}, str(cluster.kubeconfig))
        client.__class__ = Poor
        with pytest.raises(UserError, match=r"does not know modeldeployments of .*manifests/crds"):
            preflight.check(client, Settings())

    def test_definitions_older_than_the_operator_are_named(
        self, cluster: Reach, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server would drop the newer fields in silence; those that it serves now are the operator's own."""
        client = kube.connect({}, str(cluster.kubeconfig))
        preflight.check(client, Settings())
        served = client.schemas(names.API_VERSION)
        del served[names.KIND_RUN]["properties"]["spec"]["properties"]["training"]["properties"]["guard"]

        class Older(kube.Kube):
            def schemas(self, api_version: str) -> dict[str, dict[str, Any]]:
                return served

        client.__class__ = Older
        monkeypatch.setattr(preflight, "PUBLISHED_WITHIN_S", 0.0)
        with pytest.raises(
            UserError,
            match=r"older than this operator: they lack TrainingRun spec\.training\.guard; .*manifests/crds",
        ):
            preflight.check(client, Settings())

    def test_a_way_to_the_api_is_asked_for(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="KUBECONFIG"):
            kube.connect({}, str(tmp_path / "nothing"))
