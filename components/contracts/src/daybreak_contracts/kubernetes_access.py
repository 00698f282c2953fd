"""How a pod reaches the Kubernetes API server: address, certificate authority, token. Standard library only.

The one place that knows these rules, for every client in the house. Owns no requests.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.errors import UserError

HOST = "KUBERNETES_SERVICE_HOST"
PORT = "KUBERNETES_SERVICE_PORT"
PORT_HTTPS = "KUBERNETES_SERVICE_PORT_HTTPS"
ACCOUNT_FOLDER = "DAYBREAK_ACCOUNT_FOLDER"
"""Where ``token`` and ``ca.crt`` lie, for pods that mount a token of their own; Kubernetes' own place unless set."""
DEFAULT_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_PORT = "443"
SCHEME = "Bearer"


@dataclass(frozen=True)
class Access:
    """How the API server is reached."""

    server: str
    """``https://host:port``, without a slash at its end."""
    token_file: Path | None = None
    """Read for each request: the kubelet replaces it before the token expires."""
    ca_file: Path | None = None
    """The cluster's certificate authority; None: those that the machine trusts."""

    def tls(self) -> ssl.SSLContext:
        """Return what the server's certificate is checked by; OSError when the authority's file can't be read."""
        return ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))

    def authorization(self) -> str | None:
        """Return the header's value, from the file as it is now; OSError when it can't be read, None without one."""
        if self.token_file is None:
            return None
        return f"{SCHEME} {self.token_file.read_text().strip()}"


def is_in_pod(environment: Mapping[str, str]) -> bool:
    """Return whether the environment names an API server, as that of every pod does."""
    return bool(environment.get(HOST))


def listening_host(environment: Mapping[str, str]) -> str:
    """Return the address to listen on in a pod: all addresses of the family that the cluster's own Services have.

    Pods, probes and headless Services are reached by that one; a cluster of IPv6 alone has no other.
    """
    return "::" if ":" in environment.get(HOST, "") else "0.0.0.0"


def host_in_url(host: str) -> str:
    """Return the host as a URL spells it: an IPv6 address stands in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def server_of(environment: Mapping[str, str]) -> str:
    """Return the API server's address; UserError outside of a pod, or for a port that is none.

    ``KUBERNETES_SERVICE_PORT`` goes first, as in the official clients: who sends pods to another address (a local load
    balancer, a proxy) sets that one, while the kubelet goes on setting ``..._PORT_HTTPS``.
    """
    host = environment.get(HOST)
    if not host:
        raise UserError(f"{HOST} is not set: this is no pod")
    port = environment.get(PORT) or environment.get(PORT_HTTPS) or DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UserError(f"{PORT} must be a port number, got {port!r}")
    return f"https://{host_in_url(host)}:{port}"


def account_folder(environment: Mapping[str, str]) -> Path:
    """Return where the service account's files are mounted."""
    return Path(environment.get(ACCOUNT_FOLDER) or DEFAULT_ACCOUNT_FOLDER)


def access_of_pod(environment: Mapping[str, str], account: Path | None = None) -> Access:
    """Return the access that a pod's service account gives; UserError outside of a pod.

    ``account`` goes before the environment's folder, and that before Kubernetes' own.
    """
    folder = account or account_folder(environment)
    return Access(server_of(environment), folder / "token", folder / "ca.crt")
