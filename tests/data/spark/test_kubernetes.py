"""Spark on Kubernetes: what a pod's environment comes to, and a driver that asks a real API server for its executor."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_data.spark import kubernetes
from daybreak_data.spark.kubernetes import SparkExecutors
from tests.cluster.reach import Reach, wait_for

POD = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "DAYBREAK_POD_NAME": "first-data-1-x7k2p",
    "DAYBREAK_POD_NAMESPACE": "team",
    "DAYBREAK_POD_IP": "10.1.2.3",
    "DAYBREAK_EXECUTOR_IMAGE": "r.example/data@sha256:1",
    "DAYBREAK_SHARED_CLAIM": "work",
}
EXECUTORS = SparkExecutors(
    count=3,
    namespace="team",
    driver_pod="first-data-1-x7k2p",
    driver_ip="10.1.2.3",
    image="r.example/data@sha256:1",
    server="https://10.0.0.1:443",
    account_folder=Path("/var/run/secrets/kubernetes.io/serviceaccount"),
    claim="work",
)


@pytest.mark.parametrize(
    ("environ", "count", "expected"),
    [
        pytest.param(POD, 0, None, id="none-are-asked-for"),
        pytest.param({}, 3, None, id="a-machine-is-no-pod"),
        pytest.param(POD, 3, EXECUTORS, id="a-pod"),
    ],
)
def test_what_a_pod_knows_of_itself(
    environ: dict[str, str], count: int, expected: SparkExecutors | None
) -> None:
    assert kubernetes.executors_from(environ, count) == expected


def test_what_an_installation_chooses() -> None:
    chosen = {
        "DAYBREAK_EXECUTOR_CORES": "4",
        "DAYBREAK_EXECUTOR_MEMORY_MB": "8192",
        "DAYBREAK_EXECUTOR_LABELS": "a.example/run=first,role=x",
        "DAYBREAK_POD_ACCOUNT": "pipeline",
        "DAYBREAK_POD_IP": "fd00::7",
    }
    found = kubernetes.executors_from({**POD, **chosen}, 1)
    assert found is not None
    assert (found.cores, found.memory_mb, found.service_account, found.driver_ip) == (
        4,
        8192,
        "pipeline",
        "[fd00::7]",
    )
    settings = kubernetes.settings(found, Path("/t.json"))
    assert settings["spark.kubernetes.executor.label.a.example/run"] == "first"
    assert settings["spark.kubernetes.authenticate.executor.serviceAccountName"] == "pipeline"


@pytest.mark.parametrize("name", [*kubernetes.NEEDED, names.ENV_SHARED_CLAIM])
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(
        UserError, match=f"data.executors.count is 3 but this pod has no {name}: executors need"
    ):
        kubernetes.executors_from({key: value for key, value in POD.items() if key != name}, 3)


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(
        UserError, match="DAYBREAK_EXECUTOR_CORES must be a whole number of at least 1, got 'two'"
    ):
        kubernetes.executors_from({**POD, "DAYBREAK_EXECUTOR_CORES": "two"}, 3)


def test_an_executors_pod_is_restricted_and_shares_the_work_folder() -> None:
    template = kubernetes.pod_template(EXECUTORS, "/scratch")
    (container,) = template["spec"]["containers"]
    assert container["command"] == ["python", "-m", "daybreak_data"]
    assert container["volumeMounts"] == [{"name": "work", "mountPath": "/scratch"}]
    assert template["spec"]["volumes"] == [{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}]
    assert template["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_options_keep_their_order_and_gaps_do_not_matter() -> None:
    given = {
        "SPARK_EXECUTOR_MEMORY": "512m",
        "SPARK_DRIVER_URL": "spark://d",
        "SPARK_EXECUTOR_ID": "1",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_APPLICATION_ID": "app",
        "SPARK_EXECUTOR_POD_IP": "10.1.1.1",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "exec-1",
        **{f"SPARK_JAVA_OPT_{number}": f"-Dn={number}" for number in (10, 2, 0)},
    }
    command = kubernetes.executor_command(given, Path("/bin/java"), Path("/jars"))
    assert command[:6] == ["/bin/java", "-Dn=0", "-Dn=2", "-Dn=10", "-Xms512m", "-Xmx512m"]
    assert command[-2:] == ["--podName", "exec-1"]
    with pytest.raises(UserError, match="SPARK_DRIVER_URL is not set"):
        kubernetes.executor_command({"SPARK_EXECUTOR_MEMORY": "1g"}, Path("/bin/java"), Path("/jars"))


RULES = [
    {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["create", "get", "list", "watch", "delete", "patch"],
    },
    {
        "apiGroups": [""],
        "resources": ["pods", "configmaps", "services", "persistentvolumeclaims"],
        "verbs": ["list", "deletecollection"],
    },
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get"]},
]
"""What a driver does in its own namespace; decision 0022 names the same."""


@pytest.fixture
def pod(cluster: Reach, tmp_path: Path) -> dict[str, str]:
    """The environment of a driver's pod in a fresh namespace, whose account may do what a driver does."""
    namespace = cluster.namespace()
    kind = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "metadata": {"namespace": namespace, "name": "driver"},
    }
    cluster.apply({**kind, "kind": "Role", "rules": RULES})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "driver"}
    who = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    cluster.apply({**kind, "kind": "RoleBinding", "roleRef": role, "subjects": [who]})
    container = {"name": "pipeline", "image": "r.example/data"}
    metadata = {"name": "first-data-1-x7k2p", "namespace": namespace}
    cluster.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    )
    authority = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    inline = authority.get("certificate-authority-data")
    text = base64.b64decode(inline) if inline else Path(authority["certificate-authority"]).read_bytes()
    (tmp_path / "ca.crt").write_bytes(text)
    (tmp_path / "token").write_text(cluster.kubectl("create", "token", "default", "-n", namespace).strip())
    server = urlsplit(cluster.url)
    return {
        **POD,
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "DAYBREAK_ACCOUNT_FOLDER": str(tmp_path),
        "DAYBREAK_POD_NAMESPACE": namespace,
        "DAYBREAK_POD_IP": "127.0.0.2",
        "DAYBREAK_EXECUTOR_CORES": "1",
        "DAYBREAK_EXECUTOR_MEMORY_MB": "512",
    }


def executor_of(cluster: Reach, namespace: str) -> dict[str, Any] | None:
    found = cluster.kubectl("get", "pods", "-n", namespace, "-l", "spark-role=executor", "-o", "json")
    items = json.loads(found)["items"]
    return items[0] if items else None


@pytest.mark.slow
def test_an_executor_that_is_asked_for_does_the_work(
    cluster: Reach, pod: dict[str, str], tmp_path: Path
) -> None:
    """No kubelet runs the pod here: the test reads it as one would and starts its container's command."""
    namespace = pod["DAYBREAK_POD_NAMESPACE"]
    with (tmp_path / "driver.log").open("w") as log:
        driver = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("driver.py")), str(tmp_path / "work")],
            env={**os.environ, **pod},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    executor = None
    try:
        asked = wait_for("the executor's pod", lambda: executor_of(cluster, namespace), 180)
        (container,) = asked["spec"]["containers"]
        assert (container["image"], container["args"]) == (pod["DAYBREAK_EXECUTOR_IMAGE"], ["executor"])
        assert container["resources"]["requests"] == {"cpu": "1", "memory": "896Mi"}
        assert asked["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_EXECUTOR
        assert asked["metadata"]["ownerReferences"][0]["name"] == pod["DAYBREAK_POD_NAME"]
        assert asked["spec"]["securityContext"]["runAsNonRoot"]
        claims = [volume.get("persistentVolumeClaim") for volume in asked["spec"]["volumes"]]
        assert {"claimName": "work"} in claims
        known = {"status.podIP": "127.0.0.1", "metadata.name": asked["metadata"]["name"]}
        environment = {
            item["name"]: item.get("value") or known[item["valueFrom"]["fieldRef"]["fieldPath"]]
            for item in container["env"]
            if "value" in item or "valueFrom" in item
        }
        assert "@127.0.0.2:" in environment["SPARK_DRIVER_URL"]
        with (tmp_path / "executor.log").open("w") as log:
            executor = subprocess.Popen(
                [sys.executable, *container["command"][1:], *container["args"]],
                env={**os.environ, **environment, "HOME": str(tmp_path)},
                stdout=log,
                stderr=log,
            )
        out, _ = driver.communicate(timeout=240)
        said = (tmp_path / "driver.log").read_text() + (tmp_path / "executor.log").read_text()
        assert driver.returncode == 0, said
        name = asked["metadata"]["name"]
        assert json.loads(out) == [[name, sum(range(500))], [name, sum(range(500, 1000))]]
        executor.wait(60)
    finally:
        for process in (driver, executor):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
