"""What a real node is told: containerd, its mounts, the pods' network, kubelet, DNS and Services. Pure texts.

Owns the settings; `cluster.py` starts what they are for.
"""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.reach import ROOT

BRIDGE = "daybreak0"
NETWORK = ipaddress.IPv4Network("10.244.0.0/24")
GATEWAY = str(next(NETWORK.hosts()))
"""Address of the host on the pods' bridge: API server and DNS listen here, the same for host and pods."""
NODE_ADDRESS = GATEWAY
DOMAIN = "cluster.local"
RUN = Path("/run/daybreak")
"""On a file system of our own namespace: sockets need short paths."""
SOCKET = RUN / "containerd.sock"
PAUSE_IMAGE = "docker.io/library/daybreak-pause:latest"
RUNTIME = "with-host-files"
CNI_PLUGINS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
FROM_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "java-17-openjdk", "java-21-openjdk", "ld.so.cache",
    "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "os-release", "protocols", "services", "ssl", "timezone",
)  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A machine that runs containers: where it keeps things and what it is called."""

    data: Path
    name: str
    zone: str
    cgroup: str
    cni_plugins: Path


def host_folders(java: Path | None) -> list[Path]:
    """Return what containers see of the host, read-only: programs, interpreter, project, a Java runtime."""
    chosen = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), ROOT, *([java] if java else [])]
    whole = [path for path in dict.fromkeys(chosen) if not any(_inside(path, other) for other in chosen)]
    return [*whole, *(path for path in (Path("/etc") / name for name in FROM_ETC) if path.exists())]


def _inside(path: Path, other: Path) -> bool:
    return path != other and path.is_relative_to(other)


def variables(java: Path | None) -> list[str]:
    """Return the environment of every image."""
    found = [
        f"PATH={Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        f"LD_LIBRARY_PATH={Path(sys.base_prefix) / 'lib'}",  # Triton's Python backend must not find another libpython
        "HOME=/tmp",
    ]
    return [*found, f"JAVA_HOME={java}"] if java else found


def runtime_spec(stock: dict[str, Any], folders: Iterable[Path]) -> dict[str, Any]:
    """Return containerd's own spec with the host's folders, and without what only root of a whole machine may."""
    process = {
        key: value for key, value in stock["process"].items() if key not in ("rlimits", "noNewPrivileges")
    }
    options = ["rbind", "ro", "nosuid", "nodev"]
    mounts = [
        {"destination": str(path), "source": str(path), "type": "bind", "options": options}
        for path in folders
    ]
    return {**stock, "process": process, "mounts": [*stock["mounts"], *mounts]}


def containerd(node: Node) -> str:
    """Return containerd's settings: its own folders, our runtime by default, no rights that may be missing."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    runtime = f"{cri}.containerd.runtimes.{RUNTIME}"
    text = f"""
        version = 2
        root = "{node.data}/containerd"
        state = "{RUN}/containerd"
        [grpc]
        address = "{SOCKET}"
        [plugins."io.containerd.internal.v1.opt"]
        path = "{node.data}/opt"
        [{cri}]
        sandbox_image = "{PAUSE_IMAGE}"
        restrict_oom_score_adj = true
        [{cri}.containerd]
        default_runtime_name = "{RUNTIME}"
        [{runtime}]
        runtime_type = "io.containerd.runc.v2"
        base_runtime_spec = "{node.data}/spec.json"
        [{runtime}.options]
        SystemdCgroup = false
        [{cri}.cni]
        bin_dir = "{node.cni_plugins}"
        conf_dir = "{node.data}/cni"
    """
    return "\n".join(line.strip() for line in text.strip().splitlines()) + "\n"


def network(data: Path) -> str:
    """Return the pods' network: one bridge, addresses kept on this host."""
    ranges = [[{"subnet": str(NETWORK), "rangeStart": str(NETWORK[10]), "gateway": GATEWAY}]]
    addresses = {"type": "host-local", "dataDir": f"{data}/addresses", "ranges": ranges}
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    plugins = [bridge, {"type": "loopback"}]
    return json.dumps({"cniVersion": "0.4.0", "name": "daybreak", "plugins": plugins})


def kubelet(node: Node) -> dict[str, Any]:
    """Return the kubelet's settings, for either version of cgroups and a machine that has swap or a full disk."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "clusterDNS": [GATEWAY],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "enforceNodeAllocatable": [],
        "evictionHard": {"memory.available": "1%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": False,
        "podLogsDir": f"{node.data}/pods",
        "resolvConf": f"{node.data}/resolv.conf",
        "serializeImagePulls": False,
    }


def corefile(kubeconfig: Path) -> str:
    """Return the names that pods can resolve: those of the cluster."""
    return f"""\
.:53 {{
    bind {GATEWAY}
    errors
    ready {GATEWAY}:8181
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 1
    }}
    cache 1
}}
"""
