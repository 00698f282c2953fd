"""The gateway and a real Kubernetes API server: what it may read, how fast a switch arrives, and a restart."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_contracts.kubernetes_access import Access
from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint
from tests.cluster.reach import Reach
from tests.serve.api_server import endpoint_slice
from tests.serve.gateways import NEW, OLD, STAFF, Engine, RunningGateway, running_gateway, until

NAME = "completions"
ADDRESS = "192.0.2.1"
"""Of pods that do not exist (RFC 5737): a real API server takes no loopback address for an engine."""


def here(engine: ListedEndpoint) -> ListedEndpoint:
    """Reach an engine on this machine."""
    return replace(
        engine,
        address=engine.address.replace(ADDRESS, "127.0.0.1"),
        http=engine.http.replace(ADDRESS, "127.0.0.1"),
    )


@dataclass
class Real(RunningGateway):
    """A gateway and the namespace that it follows."""

    reach: Reach
    namespace: str

    async def route(self, **routing: Any) -> None:
        document = {"salt": "s1", "staffGroups": ["staff"], **routing}
        status = {"routing": {"version": document["version"], "document": document}}
        await asyncio.to_thread(
            self.reach.kubectl,
            *("patch", names.PLURAL_DEPLOYMENT, NAME, "-n", self.namespace, "--subresource=status"),
            *("--type=merge", "-p", json.dumps({"status": status})),
        )

    async def list(self, *engines: Engine, **conditions: bool) -> None:
        for one in engines:
            found = endpoint_slice(one.digest, one.name, one.ports, **conditions)
            found["metadata"]["namespace"] = self.namespace
            found["endpoints"][0]["addresses"] = [ADDRESS]
            await asyncio.to_thread(self.reach.apply, found)


def access_to(reach: Reach, namespace: str, folder: Path) -> Access:
    """Make an account with the gateway's rights and return its way to the server."""
    account = names.gateway_name(NAME)
    reach.kubectl("create", "serviceaccount", account, "-n", namespace)
    watch = "--verb=get,list,watch"
    deployments = f"--resource={names.PLURAL_DEPLOYMENT}.{names.GROUP}"
    reach.kubectl("create", "role", "own", "-n", namespace, watch, deployments, f"--resource-name={NAME}")
    slices = "--resource=endpointslices.discovery.k8s.io"
    reach.kubectl("create", "role", "slices", "-n", namespace, watch, slices)
    for role in ("own", "slices"):
        given = (f"--role={role}", f"--serviceaccount={namespace}:{account}")
        reach.kubectl("create", "rolebinding", role, "-n", namespace, *given)
    (folder / "token").write_text(reach.kubectl("create", "token", account, "-n", namespace))
    (chosen,) = yaml.safe_load(reach.kubeconfig.read_text())["clusters"]
    authority = chosen["cluster"]
    if "certificate-authority-data" in authority:
        (folder / "ca.crt").write_bytes(base64.b64decode(authority["certificate-authority-data"]))
    else:
        (folder / "ca.crt").write_bytes(Path(authority["certificate-authority"]).read_bytes())
    return Access(reach.url, folder / "token", folder / "ca.crt")


@pytest.fixture
async def real(cluster: Reach, engines: dict[str, Engine], tmp_path: Path) -> AsyncIterator[Real]:
    """A ModelDeployment on the real server with both models' engines, and its gateway."""
    await asyncio.gather(*(one.wait() for one in engines.values()))
    namespace = await asyncio.to_thread(cluster.namespace)
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "model": {"trainingRunRef": {"name": "first-light"}},
            "pools": [{"name": "l4", "accelerator": "nvidia-l4", "zones": ["zone-a"]}],
        },
    }
    await asyncio.to_thread(cluster.apply, manifest)
    access = await asyncio.to_thread(access_to, cluster, namespace, tmp_path)
    async with running_gateway(access, namespace, NAME, here) as gateway:
        found = Real(**vars(gateway), reach=cluster, namespace=namespace)
        await found.list(*engines.values())
        yield found


@pytest.mark.slow
async def test_a_switch_on_a_real_api_server_reaches_new_requests_within_two_seconds(
    real: Real, engines: dict[str, Engine]
) -> None:
    await real.route(version=1, stable=OLD, candidate=NEW)
    await real.ready()
    assert (await real.answerer(headers=STAFF)).startswith("old")
    await real.route(version=2, stable=OLD, candidate=NEW, staff=True)

    async def is_switched() -> bool:
        return await real.answerer(headers=STAFF) == "new-a"

    assert await until(is_switched) < 2.0
    assert (await real.answerer("ada")).startswith("old")
    await real.list(engines["new-a"], ready=False, terminating=True)

    async def is_back() -> bool:
        return (await real.answerer(headers=STAFF)).startswith("old")

    await until(is_back)


@pytest.mark.slow
async def test_a_restart_of_the_api_server_costs_no_request(real: Real) -> None:
    await real.route(version=1, stable=OLD)
    await real.ready()
    restarting = asyncio.create_task(asyncio.to_thread(real.reach.restart_apiserver))
    while not restarting.done():
        assert (await real.answerer()).startswith("old")
        await asyncio.sleep(0.02)
    await restarting
    await real.route(version=2, stable=NEW)

    async def is_switched() -> bool:
        return await real.is_answered_by("new-a")

    await until(is_switched, 60)
