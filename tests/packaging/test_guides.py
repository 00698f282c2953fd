"""README's five commands and the first hour, walked: each command as it stands there, or the reason why it can't be.

Pods are played by KWOK; what is asked inside a pod, of a registry or of GitHub is named below, and nothing else is
left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.packaging import render
from tests.packaging.render import NAMESPACE, ROOT

NOT_HERE = {
    r"^kind ": "no kind",
    r"^make images|kind load": "no images",
    r"github\.com": "not from the network",
    r"^export PIPELINE_VERSION|crd/applications\.app\.k8s\.io|^kubectl -n kubeflow wait": "no Kubeflow",
    r" exec deploy/minio ": "a pod that is played runs nothing",
    r"port-forward|^until curl|^curl ": "nothing listens in a pod that is played",
    r"wait --for=condition=Ready .*modeldeployment": "no operator runs: tests/packaging/test_install.py has one",
}
WITHOUT_END = " --watch"
"""Taken off a command: it would show changes until somebody ends it."""
PATIENCE_S = 180


def commands(file: str, heading: str = "") -> list[str]:
    """Return the commands of a page's code blocks, below a heading: loops and continued lines are one."""
    text = (ROOT / file).read_text()
    text = text[text.index(heading) :] if heading else text
    if heading:
        text = text[: text.index("\n## ", 1)]
    lines = [
        line
        for block in re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    found: list[str] = []
    for line in lines:
        going_on = found and (
            found[-1].endswith("\\") or (found[-1].startswith("for ") and not found[-1].endswith("done"))
        )
        if going_on:
            found[-1] += f"\n{line}"
        elif line.strip():
            found.append(line.partition("   #")[0].rstrip())
    return found


def why_not(command: str) -> str | None:
    return next((reason for pattern, reason in NOT_HERE.items() if re.search(pattern, command)), None)


GUIDES = {"README.md": "## On a cluster", "docs/first-hour.md": ""}


@pytest.mark.parametrize("file", GUIDES)
def test_every_file_that_a_guide_names_is_there(file: str) -> None:
    named = re.findall(r"(?<=\s)(?:manifests|charts)/[\w./-]+", "\n".join(commands(file, GUIDES[file])))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_reason_is_still_needed() -> None:
    every = [command for file, heading in GUIDES.items() for command in commands(file, heading)]
    assert [p for p in NOT_HERE if not any(re.search(p, command) for command in every)] == []


class Walk:
    """A shell whose kubectl and helm are ours and reach the cluster, in the repository's root."""

    def __init__(self, cluster: Reach, folder: Path) -> None:
        self.cluster = cluster
        programs = folder / "bin"
        programs.mkdir()
        for name in ("kubectl", "helm"):
            (programs / name).symlink_to(render.program(name))
        path = f"{programs}:{os.environ['PATH']}"
        self.environment = {
            **os.environ,
            "PATH": path,
            "KUBECONFIG": str(cluster.kubeconfig),
            "HOME": str(folder),
        }

    def does(self, command: str) -> str:
        """Run a command as it stands; pods that shall end are let end meanwhile."""
        process = subprocess.Popen(
            ["bash", "-ec", command.removesuffix(WITHOUT_END)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            if command.startswith("helm test"):
                self.finish("app.kubernetes.io/component=test")
            if command.startswith("helm uninstall"):
                self.finish("app.kubernetes.io/component=uninstall")
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        assert process.returncode == 0, f"{command}: {said}"
        return said

    def finish(self, chosen: str) -> None:
        def running() -> str | None:
            listed = self.cluster.kubectl("get", "pods", "-n", NAMESPACE, "-l", chosen, "-o", "json")
            pods = [pod for pod in json.loads(listed)["items"] if pod["status"].get("phase") == "Running"]
            return str(pods[0]["metadata"]["name"]) if pods else None

        self.cluster.finish_pod(NAMESPACE, wait_for(f"a pod {chosen}", running, PATIENCE_S), 0)


@pytest.fixture
def walk(full_cluster: Reach, tmp_path: Path) -> Iterator[Walk]:
    """Kubeflow's namespace is there, and the node of a kind cluster."""
    if os.environ.get("DAYBREAK_TEST_CLUSTER") == "existing":
        pytest.skip("a guide ends by deleting all runs and models of the namespace default")
    if full_cluster.get("clusterrole", "daybreak-operator") is not None:
        pytest.skip("Daybreak is installed on this cluster")
    full_cluster.add_nodes([NodeSpec("daybreak-control-plane")])
    if full_cluster.get("namespace", "kubeflow") is None:
        full_cluster.kubectl("create", "namespace", "kubeflow")
    walk = Walk(full_cluster, tmp_path)
    yield walk
    helm = shutil.which("helm", path=walk.environment["PATH"])
    assert helm is not None
    if walk.does(f"helm list --short --namespace {NAMESPACE}").split():
        walk.does(f"{helm} uninstall daybreak --no-hooks --namespace {NAMESPACE}")
    full_cluster.kubectl("delete", "trainingruns,modeldeployments", "--all", "--timeout=60s")
    for namespace in ("default", "kubeflow"):
        full_cluster.kubectl("delete", "secret", "daybreak-storage", "-n", namespace, "--ignore-not-found")
    full_cluster.kubectl("delete", "namespace", "storage", "--ignore-not-found", "--timeout=120s")
    # last: pods of a node that is gone are collected after a minute only
    full_cluster.kubectl("delete", "node", "daybreak-control-plane", "--ignore-not-found")


@pytest.mark.needs("programs")
@pytest.mark.slow  # some 30 s each: an installation, its test and its end, on a cluster whose pods are played
@pytest.mark.parametrize("file", GUIDES)
def test_a_guide_can_be_followed(walk: Walk, file: str) -> None:
    done = [command for command in commands(file, GUIDES[file]) if why_not(command) is None]
    said = {command: walk.does(command) for command in done}
    installed = next(text for command, text in said.items() if command.startswith("helm install"))
    assert "STATUS: deployed" in installed
    assert [
        text for command, text in said.items() if command.startswith("kubectl get") and "first-run" in text
    ]
