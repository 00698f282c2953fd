"""A cluster of our own on this machine: etcd and API server, and what else is asked for, in one data folder.

Owns the order of starting, users and readiness. Everything ends with the process that started it, even by a kill.
"""

from __future__ import annotations

import functools
import os
import secrets
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from daybreak_contracts.ports import free_ports
from tests.cluster import binaries, commands
from tests.cluster.binaries import Say
from tests.cluster.commands import ADMIN, HOST, Layout
from tests.cluster.processes import Household, StartError
from tests.cluster.reach import Reach, wait_for, written

if TYPE_CHECKING:
    from tests.cluster.managers import Managers

TRAINER = ("jobset", "trainer")
QUEUES = (*TRAINER, "kueue")
"""Built only when somebody asks for it (`make launchers`)."""
START_WITHIN_S = 120.0
RESTART_GRACE_S = 2.0
"""With many watches open it waits for a minute by itself."""
PORT_TRIES = 3
STAGES = Path(__file__).with_name("stages")
KWOK_STAGES = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
]
"""KWOK's own, but for the one that ends the pods of every Job after a moment: ours end when they are told."""


@dataclass(frozen=True)
class Parts:
    """What runs beside etcd and the API server."""

    controllers: bool = False
    """kube-controller-manager and kube-scheduler."""
    kwok: bool = False
    training_operator: bool = False
    managers: tuple[str, ...] = ()
    """JobSet's, Kubeflow Trainer's and Kueue's, in the order in which they start."""

    def programs(self) -> list[str]:
        """Names of the programs that these parts are made of."""
        names = ["etcd", "kube-apiserver"]
        names += ["kube-controller-manager", "kube-scheduler"] if self.controllers else []
        names += ["kwok"] if self.kwok else []
        names += ["training-operator"] if self.training_operator else []
        return [*names, *self.managers]


API_SERVER = Parts()
FULL = Parts(controllers=True, kwok=True)
WITH_TRAINING_OPERATOR = Parts(controllers=True, kwok=True, training_operator=True)
WITH_TRAINER = Parts(controllers=True, kwok=True, managers=TRAINER)
WITH_QUEUES = Parts(controllers=True, kwok=True, training_operator=True, managers=QUEUES)


def wanted(parts: Parts, environment: Mapping[str, str]) -> list[str]:
    """Names of the programs that have to be built: all that neither the assets folder nor the machine has."""
    names = [name for name in parts.programs() if _given(name, environment) is None]
    if _given("kubectl", environment) is None and binaries.find("kubectl") is None:
        names.append("kubectl")
    return names


def _given(name: str, environment: Mapping[str, str]) -> Path | None:
    folder = environment.get("KUBEBUILDER_ASSETS")
    path = Path(folder) / name if folder else None
    return path if path and path.exists() else None


def locate(parts: Parts, environment: Mapping[str, str], say: Say) -> dict[str, Path]:
    """Return where every program is, kubectl among them, after building what is missing."""
    built = binaries.programs(wanted(parts, environment), environment, say)
    found = {name: built.get(name) or _given(name, environment) for name in parts.programs()}
    kubectl = built.get("kubectl") or _given("kubectl", environment) or binaries.find("kubectl")
    return {name: path for name, path in {**found, "kubectl": kubectl}.items() if path is not None}


class Cluster(Reach):
    """A running cluster of our own; `close` ends it."""

    def __init__(self, parts: Parts, programs: Mapping[str, Path], layout: Layout, kwok_port: int) -> None:
        self.layout = layout
        self.parts = parts
        self._programs = programs
        self._kwok_port = kwok_port
        self._tokens = _write_users(layout)
        self._household = Household(layout.data)
        self._managers: Managers | None = None
        super().__init__(self.layout.kubeconfig(ADMIN), programs["kubectl"], parts.controllers)
        # What kubectl keeps of a server is found again by address, and the next cluster may have the same.
        self._environment["KUBECACHEDIR"] = str(layout.data / "kubectl")

    @property
    def url(self) -> str:
        """Address of the API server."""
        return self.layout.url

    def pids(self) -> dict[str, int]:
        """Process ids by program."""
        return self._household.pids()

    def up(self) -> None:
        """Start everything and wait until it is there."""
        self._start("etcd", commands.etcd(self.layout))
        self._household.wait_until("etcd", functools.partial(_etcd_ready, self.layout), START_WITHIN_S)
        self._start_apiserver()
        if self.parts.controllers:
            manager = commands.kube_controller_manager(self.layout)
            self._start("kube-controller-manager", manager)
            self._start("kube-scheduler", commands.kube_scheduler(self.layout))
        self.install_crds()
        if self.parts.kwok:
            self._start_kwok()
        if self.parts.controllers:
            wait_for("the default account", lambda: self.get("serviceaccount", "default", "default"))
        if self.parts.training_operator:
            from tests.cluster.training_operator import host_address, install

            address = host_address() if self.layout.host == HOST else self.layout.host
            install(self, self._household, self._programs["training-operator"], address)
        if self.parts.managers:
            from tests.cluster.managers import Managers

            self._managers = Managers(self, self._household, self._programs)
            self._managers.install(self.parts.managers)

    def _start(self, name: str, flags: list[str]) -> None:
        self._household.start(name, [str(self._programs[name]), *flags])

    def _start_apiserver(self) -> None:
        self._start("kube-apiserver", commands.kube_apiserver(self.layout))
        ready = functools.partial(_api_ready, self.layout, self._tokens[ADMIN])
        self._household.wait_until("kube-apiserver", ready, START_WITHIN_S)

    def _start_kwok(self) -> None:
        assets = binaries.assets_of("kwok", os.environ) / "kustomize"
        self.install_crds(assets / "crd/bases/kwok.x-k8s.io_stages.yaml")
        self._start("kwok", commands.kwok(self.layout, self._kwok_port))
        healthy = functools.partial(_answers, f"http://{HOST}:{self._kwok_port}/healthz", {}, None)
        self._household.wait_until("kwok", healthy, START_WITHIN_S)
        files = [*(assets / "stage" / name for name in KWOK_STAGES), *sorted(STAGES.glob("*.yaml"))]
        self.kubectl("apply", "--server-side", *(f"--filename={file}" for file in files))

    def restart_apiserver(self) -> None:
        """Stop the API server as an upgrade does, start it anew at the same address, wait until it is ready."""
        self._household.stop("kube-apiserver", RESTART_GRACE_S)
        self._start_apiserver()

    @contextmanager
    def freeze_apiserver(self) -> Iterator[None]:
        """Let the API server answer nothing for a while: connections stay open, watches go silent."""
        with self._household.frozen("kube-apiserver"):
            yield

    def queues_look_after(self, *frameworks: str) -> None:
        """Start Kueue anew: with these kinds of jobs besides those that it looks after by default."""
        assert self._managers is not None
        self._managers.look_after(*frameworks)

    def close(self) -> None:
        """End every process and remove the data folder."""
        self._household.close()


def start(parts: Parts, environment: Mapping[str, str], say: Say, folder: Path | None = None) -> Cluster:
    """Start a cluster in a new folder, or in the one given; raises NoClusterError or StartError."""
    programs = locate(parts, environment, say)
    for attempt in range(1, PORT_TRIES + 1):
        data = folder.resolve() if folder else Path(tempfile.mkdtemp(prefix="daybreak-cluster-"))
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        etcd, peers, api_server, kwok_port = free_ports(4)
        cluster = Cluster(parts, programs, Layout(data, etcd, peers, api_server), kwok_port)
        try:
            cluster.up()
        except StartError as failure:
            cluster.close()
            if attempt == PORT_TRIES or "address already in use" not in str(failure):
                raise
        except BaseException:
            cluster.close()
            raise
        else:
            return cluster
    raise AssertionError("unreachable")


def _write_users(layout: Layout) -> dict[str, str]:
    """Write keys, the file of users and their kubeconfigs; return the token of each user."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
    layout.account_key.write_bytes(key.private_bytes(*form, serialization.NoEncryption()))
    tokens = {user: secrets.token_hex(16) for user in layout.groups}
    lines = [f'{token},{user},{user},"{layout.groups[user]}"\n' for user, token in tokens.items()]
    layout.tokens.write_text("".join(lines))
    for user, token in tokens.items():
        written(layout.kubeconfig(user), layout.url, layout.authority, token)
    return tokens


def _etcd_ready(layout: Layout) -> bool:
    return _answers(f"http://{HOST}:{layout.etcd_port}/health", {}, None)


def _api_ready(layout: Layout, token: str) -> bool:
    if not layout.authority.exists():
        return False
    try:
        trust = ssl.create_default_context(cafile=str(layout.authority))
    except ssl.SSLError:  # half written
        return False
    return _answers(f"{layout.url}/readyz", {"Authorization": f"Bearer {token}"}, trust)


def _answers(url: str, headers: Mapping[str, str], trust: ssl.SSLContext | None) -> bool:
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=5, context=trust) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
