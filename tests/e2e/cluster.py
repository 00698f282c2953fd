"""A cluster with a real node: containerd, kubelet, DNS and Services beside the control plane, in namespaces of its own.

Owns the order of starting. Must run where `__main__.py` puts it: a mount, network and process namespace of one's own.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from daybreak_contracts import names
from daybreak_contracts.ports import free_ports
from daybreak_data.spark.java import find_java
from tests.cluster import binaries, launcher
from tests.cluster.binaries import NoClusterError, Say
from tests.cluster.commands import ADMIN, Layout
from tests.cluster.launcher import START_WITHIN_S, Cluster, Parts
from tests.cluster.reach import wait_for
from tests.cluster.training_operator import INIT_IMAGE
from tests.e2e import image, node
from tests.e2e.node import GATEWAY, Node

NODE = "node-a"
ZONE = "zone-a"
PARTS = Parts(controllers=True, training_operator=True)
OWN_PROGRAMS = ("kubelet", "kube-proxy", "coredns")
HOST_PROGRAMS = ("containerd", "ctr", "runc", "ip", "nft")
PAUSE = Path("/usr/bin/sleep")
"""What holds a pod's namespaces. containerd gives it no mounts, so its image holds it and its libraries."""


def locate(environment: Mapping[str, str], say: Say) -> dict[str, Path]:
    """Return where all programs are, after building ours; NoClusterError where the machine lacks one."""
    host = {name: binaries.find(name) for name in HOST_PROGRAMS}
    lacking = [name for name, path in host.items() if path is None]
    if lacking or cni_plugins() is None:
        missing = ", ".join([*lacking, *([] if cni_plugins() else ["CNI plugins"])])
        raise NoClusterError(
            f"a real node needs {missing}: install containerd, runc, containernetworking-plugins and nftables"
        )
    own = binaries.programs(OWN_PROGRAMS, environment, say)
    found = {name: path for name, path in host.items() if path is not None}
    return {**launcher.locate(PARTS, environment, say), **own, **found}


def cni_plugins() -> Path | None:
    """Return the folder of the network plugins."""
    return next((Path(folder) for folder in node.CNI_PLUGINS if (Path(folder) / "bridge").exists()), None)


class NodeCluster(Cluster):
    """A cluster whose pods are processes. `add_image` names an image that then holds this project's environment."""

    def __init__(self, programs: Mapping[str, Path], data: Path, cgroup: str) -> None:
        *ports, kwok_port = free_ports(4)
        layout = Layout(data, *ports, host=GATEWAY, nodes=(NODE,))
        super().__init__(PARTS, programs, layout, kwok_port)
        plugins = cni_plugins()
        assert plugins is not None
        self.node = Node(data, NODE, ZONE, cgroup, plugins)
        java = find_java(os.environ)
        self._java = java.home if java else None

    def up(self) -> None:
        """Start everything; return when the node is Ready and names resolve."""
        self._write()
        self._make_bridge()
        self._start("containerd", ["--config", str(self.node.data / "containerd.toml")])
        super().up()
        self._household.wait_until("containerd", self._containerd_ready, START_WITHIN_S)
        self._import(node.PAUSE_IMAGE, (str(PAUSE), "infinity"), programs=[PAUSE])
        self.add_image(INIT_IMAGE)
        self._start("coredns", ["-conf", str(self.node.data / "Corefile")])
        self._start_kubelet()
        self._household.wait_until("kubelet", self._node_ready, START_WITHIN_S)
        self._start_kube_proxy()
        self._household.wait_until("coredns", _names_ready, START_WITHIN_S)

    def _write(self) -> None:
        """Write every file of settings."""
        data = self.node.data
        (data / "cni").mkdir()
        stock = json.loads(self._run("ctr", "oci", "spec"))
        spec = node.runtime_spec(stock, node.host_folders(self._java))
        texts = {
            "containerd.toml": node.containerd(self.node),
            "spec.json": json.dumps(spec),
            "cni/10-daybreak.conflist": node.network(data),
            "kubelet.yaml": yaml.safe_dump(node.kubelet(self.node)),
            "resolv.conf": f"nameserver {GATEWAY}\n",
            "Corefile": node.corefile(self.layout.kubeconfig(ADMIN)),
        }
        for name, text in texts.items():
            (data / name).write_text(text)
        node.RUN.mkdir(parents=True)

    def _make_bridge(self) -> None:
        """The host's address on it must be there before the API server that listens on it."""
        self._run("ip", "link", "add", node.BRIDGE, "type", "bridge")
        self._run("ip", "address", "add", f"{GATEWAY}/{node.NETWORK.prefixlen}", "dev", node.BRIDGE)
        self._run("ip", "link", "set", node.BRIDGE, "up")
        self._run("ip", "route", "add", "default", "dev", node.BRIDGE)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def _start_kubelet(self) -> None:
        data = self.node.data
        labels = {names.LABEL_NODE_ZONE: self.node.zone, names.LABEL_MARKET: "OnDemand"}
        flags = {
            "config": data / "kubelet.yaml",
            "kubeconfig": self.layout.kubeconfig(f"system:node:{self.node.name}"),
            "hostname-override": self.node.name,
            "node-ip": node.NODE_ADDRESS,
            "root-dir": data / "kubelet",
            "cert-dir": data / "kubelet-certificates",
        }
        self._start("kubelet", [f"--{name}={value}" for name, value in flags.items()])
        wait_for("the node", lambda: self.get("node", self.node.name), START_WITHIN_S)
        # Not by a flag: a kubelet may not give itself labels of other groups than Kubernetes' own.
        chosen = [f"{name}={value}" for name, value in labels.items()]
        self.kubectl("label", "node", self.node.name, *chosen)

    def _start_kube_proxy(self) -> None:
        flags = {
            "kubeconfig": self.layout.kubeconfig(ADMIN),
            "hostname-override": self.node.name,
            "proxy-mode": "nftables",
            "masquerade-all": "true",  # an answer on the same bridge must come back through the host
            "conntrack-max-per-core": 0,
            "conntrack-min": 0,
            "conntrack-tcp-timeout-established": "0s",
            "conntrack-tcp-timeout-close-wait": "0s",
        }
        self._start("kube-proxy", [f"--{name}={value}" for name, value in flags.items()])

    def _containerd_ready(self) -> bool:
        try:
            self._ctr("version")
        except NoClusterError:
            return False
        return True

    def _node_ready(self) -> bool:
        found = self.get("node", self.node.name) or {}
        conditions = found.get("status", {}).get("conditions") or []
        return ("Ready", "True") in [(item["type"], item["status"]) for item in conditions]

    def add_image(self, name: str, entrypoint: Sequence[str] = (), user: str = "") -> None:
        """Give the node an image of this name: this machine's programs and this project's environment.

        ``entrypoint`` and ``user`` are the image's own. Pods must not ask for it to be pulled: name a tag or digest, or
        say ``imagePullPolicy: IfNotPresent``.
        """
        self._import(full_name(name), entrypoint, user)

    def _import(
        self, name: str, entrypoint: Sequence[str], user: str = "", programs: Sequence[Path] = ()
    ) -> None:
        file = self.node.data / "image.tar"
        image.write_image(file, name, node.variables(self._java), entrypoint, user, programs)
        self._ctr("images", "import", str(file))
        file.unlink()

    def _ctr(self, *arguments: str) -> str:
        return self._run("ctr", "--address", str(node.SOCKET), "--namespace", "k8s.io", *arguments)

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._programs[program]), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise NoClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def close(self) -> None:
        """End our processes; containers and mounts end with the namespaces, and the folder after them."""
        self._household.close(sweep=False)


def full_name(name: str) -> str:
    """``daybreak`` is ``docker.io/library/daybreak:latest`` to a node; names with a host stay."""
    host, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not any(mark in host for mark in ".:") and host != "localhost":
        name = f"docker.io/{name}"
    last = name.rpartition("/")[2]
    return name if ":" in last else f"{name}:latest"


def _names_ready() -> bool:
    try:
        with urllib.request.urlopen(f"http://{GATEWAY}:8181/ready", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start(data: Path, cgroup: str) -> NodeCluster:
    """Start it in a folder that is there; what is missing was built before."""
    cluster = NodeCluster(locate(os.environ, functools.partial(print, flush=True)), data, cgroup)
    try:
        cluster.up()
    except BaseException:
        cluster.close()
        raise
    return cluster
