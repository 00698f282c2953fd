"""Spark on Kubernetes in client mode: the step's own pod drives, executor pods work. Pure.

Owns which settings and which pod that means, from what a pod knows of itself; starts nothing. Executors run this
component's image; tasks write beside each other below ``work_dir``, which must be one volume for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.kubernetes_access import account_folder, host_in_url, is_in_pod, server_of

CONTAINER = names.CONTAINER_EXECUTOR
VOLUME = "work"
DEFAULT_CORES = 2
DEFAULT_MEMORY_MB = 4096
OVERHEAD = "0.6"
"""Share of the heap that a pod gets besides: Python's workers hold the text, as on one machine."""
NEEDED = (names.ENV_POD_NAME, names.ENV_POD_NAMESPACE, names.ENV_POD_IP, names.ENV_EXECUTOR_IMAGE)


@dataclass(frozen=True)
class SparkExecutors:
    """How many executors there are, and all that they and their driver must know of each other."""

    count: int
    namespace: str
    driver_pod: str
    driver_ip: str
    image: str
    server: str
    """``https://host:port`` of the API server."""
    account_folder: Path
    claim: str
    """PersistentVolumeClaim that is mounted at ``work_dir`` here, and shall be there."""
    service_account: str = ""
    cores: int = DEFAULT_CORES
    memory_mb: int = DEFAULT_MEMORY_MB
    labels: tuple[tuple[str, str], ...] = ()
    pull_secrets: tuple[str, ...] = ()
    """Secrets with registry credentials."""
    pod: Mapping[str, Any] = field(default_factory=dict)
    """What an installation and a run add to an executor's pod (``metadata``, ``spec``)."""


def executors_from(environ: Mapping[str, str], count: int) -> SparkExecutors | None:
    """Return what the environment says of executors; None for none, and outside of a pod: there Spark is local.

    A pod that lacks one of the variables is a UserError that names it.
    """
    if count == 0 or not is_in_pod(environ):
        return None
    missing = [name for name in (*NEEDED, names.ENV_SHARED_CLAIM) if not environ.get(name)]
    if missing:
        raise UserError(
            f"data.executors.count is {count} but this pod has no {', '.join(missing)}: executors need a shared "
            "volume that the installation names (executors.sharedClaim of the chart); or set the count to 0"
        )
    return SparkExecutors(
        count=count,
        namespace=environ[names.ENV_POD_NAMESPACE],
        driver_pod=environ[names.ENV_POD_NAME],
        driver_ip=host_in_url(environ[names.ENV_POD_IP]),
        image=environ[names.ENV_EXECUTOR_IMAGE],
        server=server_of(environ),
        account_folder=account_folder(environ),
        claim=environ[names.ENV_SHARED_CLAIM],
        service_account=environ.get(names.ENV_POD_ACCOUNT, ""),
        cores=_positive(environ, names.ENV_EXECUTOR_CORES, DEFAULT_CORES),
        memory_mb=_positive(environ, names.ENV_EXECUTOR_MEMORY_MB, DEFAULT_MEMORY_MB),
        labels=_labels(environ.get(names.ENV_EXECUTOR_LABELS, "")),
        pull_secrets=tuple(filter(None, environ.get(names.ENV_PULL_SECRETS, "").split(","))),
        pod=_pod(environ.get(names.ENV_EXECUTOR_POD) or "{}"),
    )


def settings(executors: SparkExecutors, template: Path) -> dict[str, str]:
    """Return what differs from a session on one machine. ``template`` is where the executors' pod lies."""
    kubernetes = {
        "namespace": executors.namespace,
        "authenticate.oauthTokenFile": str(executors.account_folder / "token"),
        "authenticate.caCertFile": str(executors.account_folder / "ca.crt"),
        "driver.pod.name": executors.driver_pod,  # executors are its children: they go when it goes
        "executor.container.image": executors.image,
        "executor.useDriverPodIP": "false",  # true would hand out the address that the driver binds to: 0.0.0.0
        "executor.podNamePrefix": executors.driver_pod[:40].rstrip("-."),
        "executor.podTemplateFile": str(template),
        "executor.podTemplateContainerName": CONTAINER,
        "memoryOverheadFactor": OVERHEAD,
    }
    if executors.service_account:
        kubernetes["authenticate.executor.serviceAccountName"] = executors.service_account
    for name, value in executors.labels:
        kubernetes[f"executor.label.{name}"] = value
    slots = executors.count * executors.cores
    return {
        "spark.master": f"k8s://{executors.server}",
        "spark.submit.deployMode": "client",
        "spark.driver.host": executors.driver_ip,
        "spark.driver.bindAddress": "0.0.0.0",
        "spark.executor.instances": str(executors.count),
        "spark.executor.cores": str(executors.cores),
        "spark.executor.memory": f"{executors.memory_mb}m",
        "spark.sql.shuffle.partitions": str(max(8, 2 * slots)),
        **{f"spark.kubernetes.{name}": value for name, value in kubernetes.items()},
    }


def pod_template(executors: SparkExecutors, work_dir: str) -> dict[str, Any]:
    """Return the executors' pod: this component as its command, the shared volume, restricted as any of our pods.

    What an installation and a run say of it lies over that, their lists behind ours.
    """
    container: dict[str, Any] = {
        "name": CONTAINER,
        "command": ["python", "-m", "daybreak_data"],  # Spark adds the argument "executor"
        "env": [{"name": "HOME", "value": "/tmp"}],
        "volumeMounts": [{"name": VOLUME, "mountPath": work_dir}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    said = dict(executors.pod.get("spec") or {})
    containers = {more.get("name", ""): more for more in said.pop("containers", ())}
    container = _joined(container, containers.pop(CONTAINER, {}))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {names.LABEL_ROLE: names.ROLE_EXECUTOR}},
        "spec": {
            "containers": [container, *containers.values()],
            "enableServiceLinks": False,
            "imagePullSecrets": [{"name": name} for name in executors.pull_secrets],
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": VOLUME, "persistentVolumeClaim": {"claimName": executors.claim}}],
        },
    }
    more = {"metadata": executors.pod.get("metadata") or {}, "spec": said}
    return {**pod, **{part: _joined(pod[part], more[part]) for part in more}}


def _joined(base: Any, more: Any) -> Any:
    """Return both: mappings merged, lists one behind the other, of other values the second."""
    if isinstance(base, Mapping) and isinstance(more, Mapping):
        return {**base, **more, **{name: _joined(base[name], more[name]) for name in base if name in more}}
    return [*base, *more] if isinstance(base, list) and isinstance(more, list) else more


def _pod(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except ValueError as error:
        raise UserError(f"{names.ENV_EXECUTOR_POD} must be the JSON of a pod: {error}") from error
    if not isinstance(said, dict):
        raise UserError(f"{names.ENV_EXECUTOR_POD} must be the JSON of a pod, got {text[:40]!r}")
    return said


def executor_command(environ: Mapping[str, str], java: Path, jars: Path) -> list[str]:
    """Return the command of an executor, from what Spark's scheduler puts into its pod's environment.

    The variables are those of BasicExecutorFeatureStep, the arguments those of KubernetesExecutorBackend (Spark 4).
    """
    try:
        memory = environ["SPARK_EXECUTOR_MEMORY"]
        given = {
            "--driver-url": environ["SPARK_DRIVER_URL"],
            "--executor-id": environ["SPARK_EXECUTOR_ID"],
            "--cores": environ["SPARK_EXECUTOR_CORES"],
            "--app-id": environ["SPARK_APPLICATION_ID"],
            "--hostname": environ["SPARK_EXECUTOR_POD_IP"],
            "--resourceProfileId": environ["SPARK_RESOURCE_PROFILE_ID"],
            "--podName": environ["SPARK_EXECUTOR_POD_NAME"],
        }
    except KeyError as error:
        raise UserError(f"{error.args[0]} is not set: only Spark's scheduler starts an executor") from error
    options = sorted(
        (name for name in environ if name.startswith("SPARK_JAVA_OPT_")),
        key=lambda name: int(name.rpartition("_")[2]),
    )
    return [
        str(java),
        *(environ[name] for name in options),
        *(f"-Xms{memory}", f"-Xmx{memory}"),
        *("-cp", f"{jars}/*"),
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
        *(text for pair in given.items() for text in pair),
    ]


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{name} must be a whole number of at least 1, got {text!r}")
    return int(text)


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    return tuple((name, value) for name, _, value in pairs)
