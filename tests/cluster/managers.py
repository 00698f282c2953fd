"""The real managers of JobSet and Kubeflow Trainer beside a cluster of our own: kinds, webhooks, configuration.

Owns what they need to run as processes of the host instead of pods. They are built only on wish (`make launchers`); the
definitions and the webhooks come from their own modules, all webhooks are on, and lead to loopback.
"""

from __future__ import annotations

import functools
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from daybreak_contracts.ports import free_ports
from tests.cluster import binaries
from tests.cluster.commands import HOST
from tests.cluster.processes import Household
from tests.cluster.webhooks import certificates, redirected

if TYPE_CHECKING:
    from tests.cluster.reach import Reach

Object = dict[str, Any]
READY_WITHIN_S = 180.0
JOBSETS_OWN = {"matchExpressions": [{"key": "jobset.sigs.k8s.io/jobset-name", "operator": "Exists"}]}


@dataclass(frozen=True)
class Place:
    """Where one manager listens and where its certificate lies."""

    webhook_port: int
    probe_port: int
    served: Path


@dataclass(frozen=True)
class Manager:
    """One manager: where its module keeps what it needs, and how it is told where to listen."""

    program: str
    definitions: str
    """Folder of its definitions below the kept files of its module."""
    webhooks: str
    """File of its webhooks there."""
    configuration: Callable[[Place], Object]


def _listening(place: Place, api_version: str, webhook: Mapping[str, Any], **more: Any) -> Object:
    """Return what both are told; of metrics nobody asks."""
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


KNOWN = (
    Manager(
        "jobset",
        "config/components/crd/bases",
        "config/components/webhook/manifests.yaml",
        _jobset,
    ),
    Manager("trainer", "manifests/base/crds", "manifests/base/webhook/manifests.yaml", _trainer),
)
MANAGERS = {manager.program: manager for manager in KNOWN}


def install(
    cluster: Reach, household: Household, programs: Mapping[str, Path], wanted: tuple[str, ...]
) -> None:
    """Apply their kinds and webhooks, start them, wait until each would take its objects."""
    for name in wanted:
        _install(cluster, household, MANAGERS[name], programs[name])


def _install(cluster: Reach, household: Household, manager: Manager, program: Path) -> None:
    assets = binaries.assets_of(manager.program, os.environ)
    folder = household.data / manager.program
    # Where controllers look for a certificate unless they are told otherwise.
    webhook_port, probe_port = free_ports(2)
    place = Place(webhook_port, probe_port, folder / "k8s-webhook-server" / "serving-certs")
    place.served.mkdir(parents=True)
    files = certificates(f"{manager.program}-ca", manager.program, datetime.now(UTC))
    for name, content in files.items():
        (place.served / name).write_bytes(content)
    for file in sorted((assets / manager.definitions).glob("*_*.yaml")):
        cluster.install_crds(file)
    for thing in webhooks(assets, manager, place, files["ca.crt"]):
        cluster.apply(thing)
    configuration = folder / "configuration.yaml"
    configuration.write_text(yaml.safe_dump(manager.configuration(place)))
    own = {"KUBECONFIG": str(cluster.kubeconfig), "TMPDIR": str(folder)}
    household.start(manager.program, [str(program), f"--config={configuration}"], {**os.environ, **own})
    household.wait_until(manager.program, functools.partial(_ready, place.probe_port), READY_WITHIN_S)


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
    return hook


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
