"""The chart as a new user meets it: installed, used, with a typo, a lost child and a killed operator, and removed.

Pods are played by KWOK. What the operator's pod and the hook's pod would run is run beside them, with the pods' own
environment and under their own accounts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_contracts.ports import free_ports
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import KubectlError, Reach, wait_for
from tests.packaging import render
from tests.packaging.render import CHART, MANIFESTS, NAMESPACE

pytestmark = pytest.mark.needs("programs")

PATIENCE_S = 120.0
EXAMPLES = MANIFESTS / "examples"


class Installation:
    """A release, and what its pods would run."""

    def __init__(self, cluster: Reach, watched: str, folder: Path) -> None:
        self.cluster, self.watched, self.folder = cluster, watched, folder
        self.port = free_ports(1)[0]

    def helm(self, *arguments: str) -> str:
        return render.run("helm", "--kubeconfig", str(self.cluster.kubeconfig), "-n", NAMESPACE, *arguments)

    def environment(self, account: str, container: dict[str, Any]) -> dict[str, str]:
        """What the pod's process would see, and the account's kubeconfig in place of a pod's token."""
        given = {
            item["name"]: NAMESPACE if "valueFrom" in item else item.get("value", "")
            for item in container["env"]
        }
        kubeconfig = self.cluster.kubeconfig_of(account, NAMESPACE, self.folder)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, **given, "KUBECONFIG": str(kubeconfig), "DAYBREAK_PORT": str(self.port)}

    @contextmanager
    def operator(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process as the operator's pod would hold it."""
        deployment = self.cluster.get("deployment", "daybreak-operator", NAMESPACE)
        assert deployment is not None
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        environment = {**self.environment("daybreak-operator", container), "DAYBREAK_POD": name}
        with (self.folder / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", *container["args"]]
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE_S)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def condition(self, kind: str, name: str, wanted: str) -> dict[str, str] | None:
        found = self.cluster.get(kind, name, self.watched)
        conditions = ((found or {}).get("status") or {}).get("conditions") or []
        return next((item for item in conditions if item["type"] == wanted), None)

    def child_job(self) -> str | None:
        """The uid of the Job that prepares the data, when it is there."""
        listed = self.cluster.kubectl("get", "jobs", "-n", self.watched, "-o", "json")
        jobs = [job for job in json.loads(listed)["items"] if "deletionTimestamp" not in job["metadata"]]
        return jobs[0]["metadata"]["uid"] if jobs else None


@pytest.fixture
def release(full_cluster: Reach, tmp_path: Path) -> Iterator[Installation]:
    if full_cluster.get("clusterrole", "daybreak-operator") is not None:
        pytest.skip("Daybreak is installed on this cluster")
    full_cluster.add_nodes([NodeSpec("packaging-1", zone="zone-a")])
    watched = full_cluster.namespace()
    installation = Installation(full_cluster, watched, tmp_path)
    settings = [f"namespaces[0]={watched}", f"operator.watchNamespaces[0]={watched}"]
    options = [f"--set={setting}" for setting in settings]
    installation.helm(
        "install", "daybreak", str(CHART), "--create-namespace", "--wait", "--timeout=3m", *options
    )
    yield installation
    left = installation.helm("list", "--short").split()
    if left:
        installation.helm("uninstall", "daybreak", "--no-hooks")
    full_cluster.kubectl("delete", "node", "packaging-1", "--ignore-not-found")


def self_test(release: Installation) -> None:
    """`helm test`'s pod asks the operator's Service; here its program asks the process."""
    (pod,) = [thing for thing in render.chart() if thing["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    script, url = container["args"]
    assert url == "http://daybreak-operator.daybreak.svc.cluster.local:8080/readyz"
    ours = f"http://127.0.0.1:{release.port}"

    def answers(path: str) -> bool:
        return subprocess.run([sys.executable, "-c", script, ours + path], check=False).returncode == 0

    wait_for("readiness", lambda: answers("/readyz"))
    assert answers("/healthz")
    assert answers("/metrics")


def people(release: Installation) -> None:
    """Who may edit or view a namespace may do so with our kinds: the cluster adds our roles to its own."""
    cluster, watched = release.cluster, release.watched
    for role, user in (("view", "viewer"), ("edit", "editor")):
        cluster.kubectl(
            "create", "rolebinding", role, f"--clusterrole={role}", f"--user={user}", "-n", watched
        )

    def may(user: str, verb: str, resource: str, part: str = "") -> bool:
        asked = [verb, resource, f"--subresource={part}", "-n", watched, "--as", user]
        try:
            cluster.kubectl("auth", "can-i", *asked)
        except KubectlError:
            return False
        return True

    wait_for("aggregation", lambda: may("viewer", "get", "trainingruns.daybreak.dev"))
    wait_for("aggregation", lambda: may("editor", "create", "modeldeployments.daybreak.dev"))
    assert may("editor", "update", "modeldeployments.daybreak.dev", "scale")
    assert not may("viewer", "create", "trainingruns.daybreak.dev")
    assert not may("editor", "update", "trainingruns.daybreak.dev", "status")


def upgrade(release: Installation) -> None:
    """More replicas and another log level: nothing that can't be changed in place."""
    options = ["--reuse-values", "--set=operator.replicas=2", "--set=operator.logLevel=DEBUG"]
    release.helm("upgrade", "daybreak", str(CHART), "--wait", "--timeout=3m", *options)
    deployment = release.cluster.get("deployment", "daybreak-operator", NAMESPACE)
    assert deployment is not None
    assert deployment["status"]["readyReplicas"] == 2


def use(release: Installation) -> None:
    """Apply the examples, mistype one, delete a child, kill the operator."""
    cluster, watched = release.cluster, release.watched
    with release.operator("first") as process:
        for name in ("cluster-run", "cluster-completions"):
            cluster.kubectl("apply", "-n", watched, "-f", str(EXAMPLES / f"{name}.yaml"))
        wait_for("the run's Job", release.child_job, PATIENCE_S)
        self_test(release)
        ready = wait_for(
            "the deployment's word",
            lambda: release.condition("modeldeployment", "first-completions", "Ready"),
            60,
        )
        assert ready["status"] == "False"
        assert "first-run" in ready["message"], ready

        typo = yaml.safe_load((EXAMPLES / "cluster-run.yaml").read_text())
        typo["spec"]["modle"] = typo["spec"].pop("model")
        with pytest.raises(KubectlError, match=r"unknown field .*modle"):
            cluster.kubectl("apply", "-n", watched, "-f", "-", stdin=json.dumps(typo))

        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    before = release.child_job()
    cluster.kubectl("delete", "jobs", "--all", "-n", watched, "--wait=true", "--cascade=foreground")
    assert release.child_job() is None
    with release.operator("second"):
        after = wait_for("the Job made anew by the next operator", release.child_job, PATIENCE_S)
        assert after != before


def remove(release: Installation) -> None:
    """Uninstall while an object is held; the hook's pod does what its image would."""
    cluster, watched = release.cluster, release.watched
    held = json.dumps({"metadata": {"finalizers": [names.FINALIZER]}})
    cluster.kubectl("patch", "trainingrun", "first-run", "-n", watched, "--type=merge", "-p", held)
    command = [str(render.program("helm")), "--kubeconfig", str(cluster.kubeconfig), "-n", NAMESPACE]
    with (release.folder / "uninstall.log").open("wb") as log:
        helm = subprocess.Popen([*command, "uninstall", "daybreak", "--wait"], stdout=log, stderr=log)
    try:
        pod = wait_for("the hook's pod", lambda: hook_pod(cluster), PATIENCE_S)
        (container,) = pod["spec"]["containers"]
        environment = release.environment("daybreak-uninstall", container)
        done = subprocess.run(
            [sys.executable, "-m", *container["args"]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "let go: 1\n"), done.stderr
        cluster.finish_pod(NAMESPACE, pod["metadata"]["name"], 0)
        assert helm.wait(PATIENCE_S) == 0, release.log("uninstall")
    finally:
        helm.kill()
        helm.wait()


def hook_pod(cluster: Reach) -> dict[str, Any] | None:
    chosen = "app.kubernetes.io/component=uninstall"
    pods = json.loads(cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", chosen, "-o", "json"))["items"]
    return next((pod for pod in pods if pod.get("status", {}).get("phase") == "Running"), None)


def leftovers(cluster: Reach) -> list[str]:
    kinds = (
        "clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,deployments,services,jobs,pods"
    )
    kinds += ",networkpolicies,configmaps,secrets,poddisruptionbudgets"
    listed = cluster.kubectl("get", kinds, "-A", "-l", "app.kubernetes.io/part-of=daybreak", "-o", "name")
    return [name for name in listed.splitlines() if name]


@pytest.mark.slow
def test_from_install_to_uninstall(release: Installation) -> None:
    notes = release.helm("get", "notes", "daybreak")
    assert f"watches {release.watched}; pipelines run by Job" in notes
    assert "No credentials for object storage are set" in notes
    people(release)
    use(release)
    upgrade(release)
    remove(release)
    wait_for("nothing of the release", lambda: not leftovers(release.cluster), 60)
    cluster, watched = release.cluster, release.watched
    assert cluster.get("trainingrun", "first-run", watched) is not None
    cluster.kubectl("delete", "trainingruns,modeldeployments", "--all", "-n", watched, "--timeout=30s")
