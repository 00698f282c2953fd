"""The real managers of JobSet, Kubeflow Trainer and Kueue beside a cluster of our own: kinds, webhooks, configuration.

Owns what they need to run as processes of the host instead of pods. They are built only on wish (`make launchers`); the
definitions and the webhooks come from their own modules, all webhooks are on, and lead to loopback.
"""

from __future__ import annotations

import base64
import functools
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from daybreak_contracts.ports import free_ports
from tests.cluster import binaries
from tests.cluster.commands import HOST
from tests.cluster.processes import Household
from tests.cluster.webhooks import certificates, on_loopback, redirected

if TYPE_CHECKING:
    from tests.cluster.reach import Reach

Object = dict[str, Any]
READY_WITHIN_S = 180.0
STOP_GRACE_S = 5.0
DEFAULT_FRAMEWORKS = (
    "batch/job",
    "jobset.x-k8s.io/jobset",
    "trainer.kubeflow.org/trainjob",
    "pod",
    "deployment",
)
"""What Kueue looks after unless it is told otherwise, as far as these kinds are served here."""
PYTORCH_JOBS = "kubeflow.org/pytorchjob"
JOBSETS_OWN = {"matchExpressions": [{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}]}


@dataclass(frozen=True)
class Place:
    """Where one manager listens and where its certificate lies."""

    webhook_port: int
    probe_port: int
    served: Path
    frameworks: tuple[str, ...] = DEFAULT_FRAMEWORKS
    """Kinds of jobs that it shall look after; only Kueue is told."""


@dataclass(frozen=True)
class Manager:
    """One manager: where its module keeps what it needs, and how it is told where to listen."""

    program: str
    namespace: str
    definitions: str
    """Folder of its definitions below the kept files of its module."""
    webhooks: str
    """File of its webhooks there."""
    configuration: Callable[[Place], Object]
    conversions: str = ""
    """Folder of the patches that make the API server ask it to convert its kinds."""
    secret: str = ""
    """Where it looks for its certificate, if it cannot be told to leave certificates alone."""

    @property
    def host(self) -> str:
        """Name of the Service that its webhooks have in a real cluster."""
        return f"{self.program}-webhook-service.{self.namespace}.svc"


def _listening(place: Place, api_version: str, webhook: Mapping[str, Any], **more: Any) -> Object:
    """Return what all three are told; of metrics nobody asks."""
    return {
        "apiVersion": api_version,
        "kind": "Configuration",
        "webhook": {"host": HOST, "port": place.webhook_port, **webhook},
        "health": {"healthProbeBindAddress": f"{HOST}:{place.probe_port}"},
        "metrics": {"bindAddress": "0"},
        "leaderElection": {"leaderElect": False},
        **more,
    }


def _jobset(place: Place) -> Object:
    off = {"internalCertManagement": {"enable": False}}
    return _listening(place, "config.jobset.x-k8s.io/v1alpha1", {"certDir": str(place.served)}, **off)


def _trainer(place: Place) -> Object:
    return _listening(place, "config.trainer.kubeflow.org/v1alpha1", {}, certManagement={"enable": False})


def _kueue(place: Place) -> Object:
    return _listening(
        place,
        "config.kueue.x-k8s.io/v1beta2",
        {"certDir": str(place.served)},
        namespace="kueue-system",
        integrations={"frameworks": list(place.frameworks)},
        featureGates={"VisibilityOnDemand": False},
    )


KNOWN = (
    Manager(
        "jobset",
        "jobset-system",
        "config/components/crd/bases",
        "config/components/webhook/manifests.yaml",
        _jobset,
    ),
    Manager(
        "trainer", "kubeflow-system", "manifests/base/crds", "manifests/base/webhook/manifests.yaml", _trainer
    ),
    Manager(
        "kueue",
        "kueue-system",
        "config/components/crd/bases",
        "config/components/webhook/manifests.yaml",
        _kueue,
        conversions="config/components/crd",
        secret="kueue-webhook-server-cert",
    ),
)
MANAGERS = {manager.program: manager for manager in KNOWN}


class Managers:
    """Those that run beside one cluster."""

    def __init__(self, cluster: Reach, household: Household, programs: Mapping[str, Path]) -> None:
        self._cluster, self._household, self._programs = cluster, household, programs
        self._places: dict[str, Place] = {}

    def install(self, wanted: tuple[str, ...]) -> None:
        """Apply their kinds and webhooks, start them, wait until each would take its objects."""
        for name in wanted:
            self._places[name] = self._surround(MANAGERS[name])
            self._start(name)

    def look_after(self, *frameworks: str) -> None:
        """Start Kueue anew: with these kinds of jobs besides those that it looks after by default."""
        place = self._places["kueue"]
        wanted = (*DEFAULT_FRAMEWORKS, *frameworks)
        if place.frameworks != wanted:
            self._places["kueue"] = replace(place, frameworks=wanted)
            self._household.stop("kueue", STOP_GRACE_S)
            self._start("kueue")

    def _surround(self, manager: Manager) -> Place:
        assets = binaries.assets_of(manager.program, os.environ)
        folder = self._household.data / manager.program
        # Where controllers look for a certificate unless they are told otherwise.
        webhook_port, probe_port = free_ports(2)
        place = Place(webhook_port, probe_port, folder / "k8s-webhook-server" / "serving-certs")
        place.served.mkdir(parents=True)
        files = certificates(f"{manager.program}-ca", manager.host, datetime.now(UTC))
        for name, content in files.items():
            (place.served / name).write_bytes(content)
        made = definitions(assets, manager, place, files["ca.crt"])
        (folder / "definitions.yaml").write_text(yaml.safe_dump_all(made))
        self._cluster.install_crds(folder / "definitions.yaml")
        for thing in [*surroundings(manager, files), *webhooks(assets, manager, place, files["ca.crt"])]:
            self._cluster.apply(thing)
        return place

    def _start(self, name: str) -> None:
        place, folder = self._places[name], self._household.data / name
        configuration = folder / "configuration.yaml"
        configuration.write_text(yaml.safe_dump(MANAGERS[name].configuration(place)))
        own = {"KUBECONFIG": str(self._cluster.kubeconfig), "TMPDIR": str(folder)}
        command = [str(self._programs[name]), f"--config={configuration}"]
        self._household.start(name, command, {**os.environ, **own})
        self._household.wait_until(name, functools.partial(_ready, place.probe_port), READY_WITHIN_S)


def definitions(assets: Path, manager: Manager, place: Place, authority: bytes) -> list[Object]:
    """Return its kinds as its module has them, converted by itself where there is more than one version to convert."""
    files = sorted((assets / manager.definitions).glob("*_*.yaml"))
    convert = {
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": on_loopback("/convert", place.webhook_port, authority),
            "conversionReviewVersions": ["v1"],
        },
    }
    converted = _converted(assets / manager.conversions) if manager.conversions else frozenset()
    made = [yaml.safe_load(file.read_text()) for file in files]
    return [
        {**item, "spec": {**item["spec"], "conversion": convert}}
        if item["metadata"]["name"] in converted
        else item
        for item in made
    ]


def _converted(folder: Path) -> frozenset[str]:
    """Return the names of the kinds to which its kustomization adds a conversion."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["patches"]
    patches = [yaml.safe_load((folder / item["path"]).read_text()) for item in listed]
    return frozenset(patch["metadata"]["name"] for patch in patches if "conversion" in patch.get("spec", {}))


def surroundings(manager: Manager, files: Mapping[str, bytes]) -> list[Object]:
    """Return its namespace, and the secret of its certificate where it insists on one."""
    made: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": manager.namespace}}]
    if manager.secret:
        encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
        metadata = {"name": manager.secret, "namespace": manager.namespace}
        made.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded})
    return made


def webhooks(assets: Path, manager: Manager, place: Place, authority: bytes) -> list[Object]:
    """Return its webhooks under the names that its kustomization gives them, with what that narrows them to."""
    made = []
    for item in yaml.safe_load_all((assets / manager.webhooks).read_text()):
        named = {**item, "metadata": {"name": f"{manager.program}-{item['metadata']['name']}"}}
        led = redirected(named, place.webhook_port, authority)
        led["webhooks"] = [_narrowed(manager, hook) for hook in led["webhooks"]]
        made.append(led)
    return made


def _narrowed(manager: Manager, hook: Object) -> Object:
    """Return a webhook that leaves alone what is not its own: as each kustomization says it."""
    if manager.program == "jobset" and "pod" in hook["name"]:
        return {**hook, "objectSelector": JOBSETS_OWN}
    if manager.program == "kueue":
        own = ["kube-system", manager.namespace]
        others = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": own}
        return {**hook, "namespaceSelector": {"matchExpressions": [others]}}
    return hook


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
