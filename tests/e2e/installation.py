"""What a team has around the operator: object storage, images, a namespace with its Secret, and the operator itself.

Owns these parts of a real installation; the operator is the real process, storage is a real S3 server.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster import NodeCluster
from tests.e2e.node import GATEWAY
from tests.plugins import object_storage

IMAGE = "registry.test/daybreak/{}:1"
COMPONENTS = ("data", "train", "evaluate", "serve", "pipelines")
SECRET = "storage"
ACCOUNT = "daybreak-pipeline"
OPERATOR_NAMESPACE = "daybreak"
ACCELERATOR = "no-gpu"
"""Value of the accelerator label on the node: a machine without one."""
PACKAGES = (
    "json",
    "email",
    "asyncio",
    "http",
    "importlib",
    "logging",
    "unittest",
    "xml",
    "concurrent",
    "urllib",
)
"""Of the standard library: some 2.5 MB of Python, ten archives, so ten repositories."""


def add_images(cluster: NodeCluster) -> None:
    """Give the node the images of all components, with the entry point and user of the Dockerfile."""
    for component in COMPONENTS:
        cluster.add_image(IMAGE.format(component), ("python", "-m"), "10001")


@contextmanager
def storage() -> Iterator[dict[str, str]]:
    """A real S3 server that pods reach, with the buckets ``code`` and ``models``; yields the AWS variables."""
    with object_storage.served("code", "models", address=GATEWAY) as variables:
        known = dict(variables)
        url = known.pop("AWS_ENDPOINT_URL")
        for package in PACKAGES:
            object_storage.put(f"{url}/code/{package}.tar.gz", _archive(package))
        yield {**known, "AWS_ENDPOINT_URL_S3": url}  # of the two names the one that is for S3 alone


def upload(url: str, uri: str, folder: Path) -> None:
    """Put a folder's files into the S3 server at ``url``."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            object_storage.put(
                f"{url}/{uri.removeprefix('s3://')}/{file.relative_to(folder)}", file.read_bytes()
            )


def _archive(package: str) -> bytes:
    folder = Path(sysconfig.get_path("stdlib")) / package
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        for file in sorted(folder.rglob("*.py")):
            tar.add(file, arcname=str(file.relative_to(folder.parent)))
    return made.getvalue()


def prepare_namespace(cluster: NodeCluster, variables: dict[str, str]) -> str:
    """Make a team's namespace, with its Secret and the account of its pods; return its name."""
    namespace = cluster.namespace()
    cluster.kubectl("create", "serviceaccount", ACCOUNT, "-n", namespace)
    literals = [f"--from-literal={name}={value}" for name, value in variables.items()]
    cluster.kubectl("create", "secret", "generic", SECRET, "-n", namespace, *literals)
    return namespace


class OperatorProcess:
    """The real operator, outside of the cluster as a developer runs it."""

    def __init__(self, cluster: NodeCluster, log: Path) -> None:
        self.log = log
        self._environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "DAYBREAK_NAMESPACE": OPERATOR_NAMESPACE,
            "DAYBREAK_STORAGE_SECRET": SECRET,
            "DAYBREAK_SERVICE_ACCOUNT": ACCOUNT,
            "DAYBREAK_PORT": "18080",
            **{f"DAYBREAK_IMAGE_{name.upper()}": IMAGE.format(name) for name in COMPONENTS},
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what it logs goes behind what it logged before."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "daybreak_operator"]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it as a lost machine would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it as a rollout of the operator would."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def lines(self) -> list[dict[str, object]]:
        """Return what it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def tell_all(cluster: NodeCluster, namespace: str, into: Path) -> None:
    """Write down what a person would look at after a failure: objects, events, logs."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for kinds in ("trun,mdeploy", "pods,jobs,pytorchjobs,deployments,configmaps", "events"):
        text = cluster.kubectl("get", kinds, "-n", namespace, "-o", "yaml")
        (into / f"{kinds.partition(',')[0]}.yaml").write_text(text)
    for name in cluster.kubectl("get", "pods", "-n", namespace, "-o", "name").split():
        logs = cluster.kubectl("logs", name, "-n", namespace, "--all-containers", "--tail=200")
        (into / f"{name.rpartition('/')[2]}.log").write_text(logs)
