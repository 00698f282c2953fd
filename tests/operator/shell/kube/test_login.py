"""Every request carries the credentials that a pod's account or a kubeconfig gives: read where they arrive."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from daybreak_contracts.errors import TransientError, UserError
from daybreak_operator.shell.kube.answers import GoneError
from daybreak_operator.shell.kube.client import Kube, Selector, connect
from daybreak_operator.shell.kube.resources import resource_of
from daybreak_operator.shell.watches.kopf_events import login_of
from tests.operator.shell.kube.secure_server import OBJECT, Asked, secure_server

CONFIG_MAPS = resource_of("v1", "ConfigMap")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Asked]:
    folder = tmp_path / "server"
    folder.mkdir()
    with secure_server(folder) as asked:
        yield asked


def pod_of(server: Asked, folder: Path, token: str = "first") -> dict[str, str]:
    """Return the environment of a pod, and write what is mounted into it."""
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(token)
    (account / "ca.crt").write_bytes(server.certificate.read_bytes())
    return {
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.port),
        "DAYBREAK_ACCOUNT_FOLDER": str(account),
    }


def kubeconfig_of(server: Asked, folder: Path, user: dict[str, Any]) -> Path:
    cluster = {"server": server.url, "certificate-authority": str(server.certificate)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "us", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "us",
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(document))
    return file


def use(kube: Kube) -> None:
    """Read, write and watch."""
    kube.request_s = 10.0
    assert kube.get(CONFIG_MAPS, "team", "settings") == OBJECT
    kube.may_write = lambda: True
    assert kube.apply(OBJECT, force=True) == OBJECT
    events = list(kube.watch(CONFIG_MAPS, "team", Selector(), "1", 5.0))
    assert [kind for kind, _ in events] == ["OPENED", "ADDED"]


def each(header: str | None) -> list[tuple[str, str | None]]:
    return [("GET", header), ("PATCH", header), ("WATCH", header)]


def test_in_a_pod_each_request_carries_the_accounts_token(server: Asked, tmp_path: Path) -> None:
    use(connect(pod_of(server, tmp_path)))
    assert server.headers() == each("Bearer first")


def test_a_tokens_file_may_end_in_a_newline(server: Asked, tmp_path: Path) -> None:
    use(connect(pod_of(server, tmp_path, "first\n")))
    assert server.headers() == each("Bearer first")


async def test_a_token_that_is_replaced_is_used_at_once(server: Asked, tmp_path: Path) -> None:
    pod = pod_of(server, tmp_path)
    kube = connect(pod)
    use(kube)
    assert (kube.connection().scheme, kube.connection().token) == ("Bearer", "first")
    server.headers()
    fresh = tmp_path / "fresh"
    fresh.write_text("second")
    fresh.replace(Path(pod["DAYBREAK_ACCOUNT_FOLDER"]) / "token")  # as the kubelet does it
    use(kube)
    assert server.headers() == each("Bearer second")
    await asks_by_kopf(kube, server)
    assert server.headers() == [("GET", "Bearer second")]


def test_a_token_that_can_not_be_read_for_a_moment_is_tried_again(server: Asked, tmp_path: Path) -> None:
    pod = pod_of(server, tmp_path)
    kube = connect(pod)
    (Path(pod["DAYBREAK_ACCOUNT_FOLDER"]) / "token").unlink()
    with pytest.raises(TransientError, match="token can't be read"):
        kube.get(CONFIG_MAPS, "team", "settings")
    with pytest.raises(TransientError, match="token can't be read"):
        kube.connection()
    assert server.headers() == []


@pytest.mark.parametrize("name", ["token", "ca.crt"])
def test_a_pod_without_its_accounts_files_is_told_so(server: Asked, tmp_path: Path, name: str) -> None:
    pod = pod_of(server, tmp_path)
    file = Path(pod["DAYBREAK_ACCOUNT_FOLDER"]) / name
    file.write_text("")
    with pytest.raises(UserError, match=rf"{name}.*automountServiceAccountToken"):
        connect(pod)
    file.unlink()
    with pytest.raises(UserError, match=rf"{name}.*automountServiceAccountToken"):
        connect(pod)


def test_a_servers_certificate_is_checked_against_the_accounts_authority(
    server: Asked, tmp_path: Path
) -> None:
    pod = pod_of(server, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    with secure_server(other) as stranger:
        certificate = stranger.certificate.read_bytes()
    (Path(pod["DAYBREAK_ACCOUNT_FOLDER"]) / "ca.crt").write_bytes(certificate)
    with pytest.raises(TransientError, match="certificate"):
        connect(pod).get(CONFIG_MAPS, "team", "settings")
    assert server.headers() == []


def test_a_kubeconfigs_token_is_sent(server: Asked, tmp_path: Path) -> None:
    use(connect({}, str(kubeconfig_of(server, tmp_path, {"token": "mine"}))))
    assert server.headers() == each("Bearer mine")


def test_a_kubeconfigs_token_file_is_sent(server: Asked, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("filed")
    use(connect({}, str(kubeconfig_of(server, tmp_path, {"tokenFile": str(tmp_path / "token")}))))
    assert server.headers() == each("Bearer filed")


def test_a_kubeconfig_goes_before_the_pods_account_when_it_is_named(server: Asked, tmp_path: Path) -> None:
    file = kubeconfig_of(server, tmp_path, {"token": "mine"})
    use(connect(pod_of(server, tmp_path), str(file)))
    assert server.headers() == each("Bearer mine")


async def test_a_kubeconfigs_plugin_is_asked_for_the_token(server: Asked, tmp_path: Path) -> None:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "made"},
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(credential)!r})"],
        "interactiveMode": "Never",
    }
    kube = connect({}, str(kubeconfig_of(server, tmp_path, {"exec": plugin})))
    use(kube)
    assert server.headers() == each("Bearer made")
    await asks_by_kopf(kube, server)
    assert server.headers() == [("GET", "Bearer made")]


async def test_a_kubeconfigs_certificate_is_shown(server: Asked, tmp_path: Path) -> None:
    certificate, key = server.client
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    kube = connect({}, str(kubeconfig_of(server, tmp_path, user)))
    use(kube)
    await asks_by_kopf(kube, server)
    assert [request.certified for request in server.requests] == ["somebody"] * 4
    assert {request.authorization for request in server.requests} == {None}


async def test_a_kubeconfigs_name_and_password_are_sent(server: Asked, tmp_path: Path) -> None:
    kube = connect({}, str(kubeconfig_of(server, tmp_path, {"username": "me", "password": "secret"})))
    use(kube)
    assert server.headers() == each("Basic bWU6c2VjcmV0")
    await asks_by_kopf(kube, server)
    assert server.headers() == [("GET", "Basic bWU6c2VjcmV0")]


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        pytest.param(b'{"type": "ERROR", "object": {"code": 410}}\n', GoneError, id="too old"),
        pytest.param(b'{"type": "ERROR", "object": {"code": 500}}\n', TransientError, id="an outage"),
        pytest.param(b"<html>a proxy that is lost</html>\n", TransientError, id="no event"),
    ],
)
def test_a_stream_that_breaks_can_be_taken_up_again(
    server: Asked, tmp_path: Path, stream: bytes, error: type[Exception]
) -> None:
    server.stream = stream
    with pytest.raises(error):
        list(connect(pod_of(server, tmp_path)).watch(CONFIG_MAPS, "team", Selector(), "1", 5.0))


def test_neither_a_pod_nor_a_kubeconfig_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="KUBECONFIG"):
        connect({}, str(tmp_path / "absent"))


async def asks_by_kopf(kube: Kube, server: Asked) -> None:
    """Ask as kopf does, with what its login is given."""
    found = login_of(kube.connection())
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=found.as_ssl_context()), headers=found.as_http_headers()
        ) as session,
        session.get(f"{found.server}/api/v1/namespaces/team/configmaps/settings") as answer,
    ):
        assert (found.server, answer.status) == (server.url, 200)
