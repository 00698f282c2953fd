"""How a test reaches a cluster, whoever runs it: apply, kubectl, a client, a fresh namespace, nodes.

Owns no process of a cluster. A cluster that was there before is this and nothing more.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.cluster import commands
from tests.cluster.binaries import NoClusterError
from tests.cluster.nodes import NodeSpec, node_of

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT / "manifests" / "crds"
KUBECTL_TIMEOUT_S = 120
WAIT_S = 150.0
"""Costs nothing where it comes to pass; beside other tests on two cores a minute was too short for some."""
POLL_S = 0.1


class KubectlError(Exception):
    """kubectl ended with an error; the text is what it said."""


def wait_for(what: str, found: Callable[[], Any], within_s: float = WAIT_S) -> Any:
    """Return the first true answer; an AssertionError that says what never came."""
    deadline = time.monotonic() + within_s
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what}: not seen in {within_s:.0f} s"
        time.sleep(POLL_S)
    return answer


def definition_of(
    group: str, version: str, kind: str, schema: dict[str, Any], subresources: dict[str, Any]
) -> dict[str, Any]:
    """Return the definition of a namespaced kind of one version."""
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{**served, **({"subresources": subresources} if subresources else {})}],
        },
    }


def open_kind(group: str, version: str, kind: str, **subresources: Any) -> dict[str, Any]:
    """Return the definition of a kind whose objects may hold anything: for one whose controller does not run."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return definition_of(group, version, kind, schema, subresources)


PYTORCH_JOBS = open_kind("kubeflow.org", "v1", "PyTorchJob", status={})
"""The kind alone, where no training operator brings its own: what `training.launcher: Auto` takes first."""


class Reach:
    """A cluster as its users see it."""

    def __init__(self, kubeconfig: Path, kubectl: Path, controllers: bool) -> None:
        self.kubeconfig = kubeconfig
        self.controllers = controllers
        """Whether accounts, garbage collection and Deployments are looked after."""
        self._kubectl = kubectl
        self._environment = {"KUBECONFIG": str(kubeconfig)}

    @property
    def url(self) -> str:
        """Address of the API server."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        chosen = next(item for item in config["contexts"] if item["name"] == config["current-context"])
        name = chosen["context"]["cluster"]
        return str(next(item for item in config["clusters"] if item["name"] == name)["cluster"]["server"])

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as an administrator and return what it prints; KubectlError when it fails."""
        done = subprocess.run(
            [str(self._kubectl), *arguments],
            env={**os.environ, **self._environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=KUBECTL_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def apply(self, thing: Mapping[str, Any] | Path) -> list[dict[str, Any]]:
        """Apply one object, or a file or folder of manifests, server-side; return what was stored."""
        given = ["-f", str(thing)] if isinstance(thing, Path) else ["-f", "-"]
        text = None if isinstance(thing, Path) else json.dumps(thing)
        options = ["--server-side", "--force-conflicts", "--field-manager=tests", "-o", "json"]
        stored = json.loads(self.kubectl("apply", *options, *given, stdin=text))
        return list(stored["items"]) if stored["kind"] == "List" else [stored]

    def would_take(self, thing: Mapping[str, Any]) -> None:
        """Ask whether an object would be created, webhooks included; KubectlError says why not."""
        self.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(thing))

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """Return an object, or None where there is none."""
        options = ["-n", namespace] if namespace else []
        text = self.kubectl("get", kind, name, *options, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def client(self) -> ApiClient:
        """Return a client of an administrator; close it, or use it as a context manager."""
        from kubernetes import config

        return config.new_client_from_config(str(self.kubeconfig))

    def namespace(self) -> str:
        """Make a namespace nobody else uses, with the account that pods need, and return its name."""
        name = f"test-{uuid.uuid4().hex[:10]}"
        items: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
        if not self.controllers:
            account = {"name": "default", "namespace": name}
            items.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        self.kubectl(
            "create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        )
        if self.controllers:
            wait_for(f"account of {name}", lambda: self.get("serviceaccount", "default", name))
        return name

    def kubeconfig_of(self, account: str, namespace: str, folder: Path) -> Path:
        """Write a kubeconfig by which one reaches the cluster as a service account with a fresh token."""
        token = self.kubectl("create", "token", account, "-n", namespace, "--duration=2h").strip()
        config = yaml.safe_load(self.kubeconfig.read_text())
        config["users"] = [{"name": item["name"], "user": {"token": token}} for item in config["users"]]
        file = folder / f"{namespace}-{account}.kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file

    def install_crds(self, manifests: Path = CRDS) -> None:
        """Apply definitions, ours unless others are given, and wait until their kinds are served."""
        names = [f"crd/{stored['metadata']['name']}" for stored in self.apply(manifests)]
        if manifests == CRDS and self.get("crd", PYTORCH_JOBS["metadata"]["name"]) is None:
            names += [f"crd/{stored['metadata']['name']}" for stored in self.apply(PYTORCH_JOBS)]
        for name in names:
            wait_for(f"{name} served", functools.partial(self._served, name))

    def _served(self, definition: str) -> bool:
        found = json.loads(self.kubectl("get", definition, "-o", "json"))
        conditions = (
            found.get("status", {}).get("conditions") or []
        )  # null at first, on which kubectl wait stumbles
        return ("Established", "True") in [(item["type"], item["status"]) for item in conditions]

    def add_nodes(self, nodes: Iterable[NodeSpec]) -> None:
        """Make nodes that KWOK plays, and wait until they are Ready."""
        made = [node_of(spec) for spec in nodes]
        self.apply({"apiVersion": "v1", "kind": "List", "items": made})
        names = [f"node/{node['metadata']['name']}" for node in made]
        self.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *names)

    def finish_pod(self, namespace: str, name: str, exit_code: int) -> None:
        """Let a pod that KWOK plays end with an exit code."""
        self.kubectl("annotate", "pod", name, "-n", namespace, f"cluster.test/exit-code={exit_code}")

    def restart_apiserver(self) -> None:
        """Only a cluster of our own can be handled so."""
        raise NoClusterError("the API server of a cluster that was there before is not ours to restart")

    def freeze_apiserver(self) -> AbstractContextManager[None]:
        """Only a cluster of our own can be handled so."""
        raise NoClusterError("the API server of a cluster that was there before is not ours to freeze")

    def queues_look_after(self, *_frameworks: str) -> None:
        """Only a cluster of our own can be handled so."""
        raise NoClusterError("the Kueue of a cluster that was there before is not ours to configure")

    def close(self) -> None:
        """Leave it as it is."""


def written(file: Path, url: str, authority: Path, token: str) -> Path:
    """Write a kubeconfig that only its owner reads."""
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(commands.kubeconfig(url, authority, token)))
    return file
