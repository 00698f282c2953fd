"""How each program of a control plane is started: addresses, files and flags in, a command line out.

Pure. Owns the flags; starting and stopping is the launcher's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
SERVICE_ADDRESSES = "10.96.0.0/16"
NOBODY = "203.0.113.1"
"""RFC 5737: nobody has it. Endpoints may not be loopback, and where there are no real nodes nobody calls them."""

ADMIN = "daybreak-admin"
CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"


@dataclass(frozen=True)
class Layout:
    """Where the parts of one cluster are: its data folder, ports and addresses."""

    data: Path
    etcd_port: int
    etcd_peer_port: int
    api_port: int
    host: str = HOST
    """Address of the API server; pods of real nodes must reach it, too."""
    nodes: tuple[str, ...] = ()
    """Names of real nodes: each kubelet is a user."""

    @property
    def url(self) -> str:
        """Address of the API server."""
        return f"https://{self.host}:{self.api_port}"

    @property
    def groups(self) -> dict[str, str]:
        """Users, each with its group."""
        kubelets = {f"system:node:{name}": "system:nodes" for name in self.nodes}
        return {ADMIN: "system:masters", CONTROLLER_MANAGER: "", SCHEDULER: ""} | kubelets

    @property
    def certificates(self) -> Path:
        """Where the API server keeps the certificate that it makes for itself."""
        return self.data / "certificates"

    @property
    def authority(self) -> Path:
        """What clients trust: the API server writes its own authority behind its certificate."""
        return self.certificates / "apiserver.crt"

    @property
    def tokens(self) -> Path:
        """The API server's file of users."""
        return self.data / "tokens.csv"

    @property
    def account_key(self) -> Path:
        """Key pair that signs the tokens of service accounts."""
        return self.data / "service-accounts.pem"

    def kubeconfig(self, user: str) -> Path:
        """The file by which a user reaches the API server."""
        return self.data / f"{user.rpartition(':')[2]}.kubeconfig"


def etcd(layout: Layout) -> list[str]:
    """The store: one member, in memory as far as the disk is concerned."""
    client, peer = f"http://{HOST}:{layout.etcd_port}", f"http://{HOST}:{layout.etcd_peer_port}"
    return [
        "--name=only",
        f"--data-dir={layout.data / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=only={peer}",
        "--log-level=warn",
    ]


def kube_apiserver(layout: Layout) -> list[str]:
    """RBAC on, users by token, Services without kube-proxy reached by their endpoints (webhooks on the host)."""
    return [
        f"--etcd-servers=http://{HOST}:{layout.etcd_port}",
        f"--bind-address={layout.host}",
        f"--advertise-address={NOBODY if layout.host == HOST else layout.host}",
        f"--secure-port={layout.api_port}",
        f"--cert-dir={layout.certificates}",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=Node,RBAC",
        f"--service-account-issuer={layout.url}",
        f"--service-account-key-file={layout.account_key}",
        f"--service-account-signing-key-file={layout.account_key}",
        f"--service-cluster-ip-range={SERVICE_ADDRESSES}",
        "--enable-aggregator-routing=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--profiling=false",
    ]


def kube_controller_manager(layout: Layout) -> list[str]:
    """Every controller under its own account, as a real cluster has it; no port of its own."""
    return [
        f"--kubeconfig={layout.kubeconfig(CONTROLLER_MANAGER)}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.account_key}",
        f"--root-ca-file={layout.authority}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def kube_scheduler(layout: Layout) -> list[str]:
    """The stock profile; no port of its own."""
    return [f"--kubeconfig={layout.kubeconfig(SCHEDULER)}", "--leader-elect=false", "--secure-port=0"]


def kwok(layout: Layout, port: int) -> list[str]:
    """Plays the kubelets of nodes that ask for it by annotation, by the Stage objects on the server."""
    return [
        f"--kubeconfig={layout.kubeconfig(ADMIN)}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--enable-crds=Stage",
        "--cidr=10.200.0.0/16",
        f"--node-ip={NOBODY}",
        f"--node-port={port}",
        f"--server-address={HOST}:{port}",
        "--node-lease-duration-seconds=40",
    ]


def kubeconfig(url: str, authority: Path, token: str, namespace: str = "default") -> dict[str, Any]:
    """Return a kubeconfig of one user by token."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "daybreak",
        "clusters": [
            {"name": "daybreak", "cluster": {"server": url, "certificate-authority": str(authority)}}
        ],
        "users": [{"name": "daybreak", "user": {"token": token}}],
        "contexts": [
            {
                "name": "daybreak",
                "context": {"cluster": "daybreak", "user": "daybreak", "namespace": namespace},
            }
        ],
    }
