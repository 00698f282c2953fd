"""From a pod's environment and account folder to the API server: one rule for all clients of the house."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.kubernetes_access import Access, access_of_pod, is_in_pod, listening_host, server_of

HOST = "KUBERNETES_SERVICE_HOST"
PORT = "KUBERNETES_SERVICE_PORT"
PORT_HTTPS = "KUBERNETES_SERVICE_PORT_HTTPS"


@pytest.mark.parametrize(
    ("environment", "server"),
    [
        pytest.param({HOST: "10.0.0.1", PORT: "443"}, "https://10.0.0.1:443", id="IPv4"),
        pytest.param({HOST: "fd00::1", PORT: "443"}, "https://[fd00::1]:443", id="IPv6 in brackets"),
        pytest.param({HOST: "[fd00::1]", PORT: "443"}, "https://[fd00::1]:443", id="brackets are there"),
        pytest.param({HOST: "::1", PORT: "6443"}, "https://[::1]:6443", id="IPv6 loopback"),
        pytest.param({HOST: "api.lan", PORT: "6443"}, "https://api.lan:6443", id="a name"),
        pytest.param({HOST: "10.0.0.1"}, "https://10.0.0.1:443", id="no port"),
        pytest.param({HOST: "10.0.0.1", PORT: ""}, "https://10.0.0.1:443", id="an empty port"),
        pytest.param({HOST: "10.0.0.1", PORT_HTTPS: "6443"}, "https://10.0.0.1:6443", id="only HTTPS"),
        pytest.param(
            {HOST: "10.0.0.1", PORT: "443", PORT_HTTPS: "443"}, "https://10.0.0.1:443", id="as the kubelet"
        ),
        pytest.param(
            {HOST: "localhost", PORT: "7445", PORT_HTTPS: "443"},
            "https://localhost:7445",
            id="sent elsewhere: the official clients' variable goes first",
        ),
    ],
)
def test_the_address(environment: dict[str, str], server: str) -> None:
    assert is_in_pod(environment)
    assert server_of(environment) == server


@pytest.mark.parametrize("environment", [{}, {HOST: ""}, {PORT: "443"}], ids=str)
def test_outside_of_a_pod_there_is_none(environment: dict[str, str]) -> None:
    assert not is_in_pod(environment)
    with pytest.raises(UserError, match=HOST):
        access_of_pod(environment)


@pytest.mark.parametrize("port", ["tcp://10.0.0.1:443", "0", "65536", "-1", "4 43", "４４３"])
def test_a_port_that_is_none_is_told(port: str) -> None:
    with pytest.raises(UserError, match=PORT):
        server_of({HOST: "10.0.0.1", PORT: port})


@given(st.ip_addresses(), st.integers(1, 65535))
def test_any_address_comes_back_from_its_url(address: object, port: int) -> None:
    found = urlsplit(server_of({HOST: str(address), PORT: str(port)}))
    assert (found.scheme, found.hostname, found.port, found.path) == ("https", str(address), port, "")


@pytest.mark.parametrize(
    ("environment", "given_folder", "folder"),
    [
        pytest.param({}, None, "/var/run/secrets/kubernetes.io/serviceaccount", id="Kubernetes' own"),
        pytest.param(
            {"DAYBREAK_ACCOUNT_FOLDER": ""},
            None,
            "/var/run/secrets/kubernetes.io/serviceaccount",
            id="empty",
        ),
        pytest.param({"DAYBREAK_ACCOUNT_FOLDER": "/mine"}, None, "/mine", id="the environment's"),
        pytest.param({"DAYBREAK_ACCOUNT_FOLDER": "/mine"}, Path("/given"), "/given", id="the caller's"),
    ],
)
def test_the_account(environment: dict[str, str], given_folder: Path | None, folder: str) -> None:
    access = access_of_pod({HOST: "10.0.0.1", **environment}, given_folder)
    assert access == Access("https://10.0.0.1:443", Path(folder) / "token", Path(folder) / "ca.crt")


def test_a_token_is_read_anew_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "token"
    access = Access("https://10.0.0.1:443", file)
    file.write_text("first\n")
    assert access.authorization() == "Bearer first"
    file.write_text("second")
    assert access.authorization() == "Bearer second"
    file.unlink()
    with pytest.raises(FileNotFoundError):
        access.authorization()


def test_without_an_account_nothing_is_said() -> None:
    assert Access("http://127.0.0.1:8001").authorization() is None


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        pytest.param({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, "0.0.0.0", id="IPv4, or both with IPv4 first"),
        pytest.param({"KUBERNETES_SERVICE_HOST": "fd00::1"}, "::", id="IPv6, or both with IPv6 first"),
        pytest.param({"KUBERNETES_SERVICE_HOST": "api.internal"}, "0.0.0.0", id="a name"),
        pytest.param({}, "0.0.0.0", id="no pod"),
    ],
)
def test_a_pod_listens_where_its_cluster_reaches_it(environment: dict[str, str], host: str) -> None:
    assert listening_host(environment) == host
