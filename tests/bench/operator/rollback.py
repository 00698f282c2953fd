"""How soon nobody gets a model any more that began to fail its users: from its first bad answer, with nobody's help.

The control plane, the operator and the gateway are the real ones, with the guardrails and intervals that a deployment
has unless it says otherwise. KWOK plays nodes and pods; behind each model is an echo engine on this machine, and the
candidate's answers every second request with an error, from the start or after a while.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import yaml

from daybreak_contracts import names
from daybreak_contracts.kubernetes_access import Access
from daybreak_operator.shell.kube import client as clients
from daybreak_operator.shell.kube.resources import DEPLOYMENTS, PODS
from daybreak_operator.shell.metrics.snapshots import GATEWAY_PORT
from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint
from tests.bench.operator.beside import cluster_of
from tests.bench.operator.burst import operator
from tests.bench.operator.diary import Body, Diary
from tests.bench.row import Row
from tests.cluster import launcher
from tests.cluster.nodes import NodeSpec
from tests.cluster.reach import Reach, wait_for
from tests.serve.gateways import OLD, Engine, running_gateway

NAME = "completions"
HOST = "127.83.9.1"
"""The gateway pod's address: a loopback address that nobody else uses, for the port of figures is fixed."""
RATE = 50
NUM_USERS = 400
NUM_REPEATS = 6
GOOD_S = 20.0
"""Of every second repeat: how long the candidate is good before it fails."""
WITHIN_S = 120.0


@dataclass(frozen=True)
class Answer:
    """What a user met."""

    asked: float
    answered: float
    status: int
    """0: none came."""
    model: str


@dataclass
class Users:
    """They ask at an even rate, whatever becomes of it."""

    url: str
    session: aiohttp.ClientSession
    answers: list[Answer] = field(default_factory=list)

    async def ask_for_ever(self) -> None:
        """Send requests until cancelled, and then wait for those that are under way."""
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        began, number = loop.time(), 0
        try:
            while True:
                number += 1
                await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
                task = asyncio.create_task(self._ask(f"user-{number % NUM_USERS}"))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        finally:
            await asyncio.gather(*tasks)

    async def _ask(self, user: str) -> None:
        asked, status, model = time.monotonic(), 0, ""
        body = {"prompt": "x", "max_tokens": 1, "user": user}
        try:
            async with self.session.post(f"{self.url}/v1/completions", json=body) as response:
                status, model = response.status, (await response.json()).get("system_fingerprint", "")
        except (aiohttp.ClientError, TimeoutError):
            print("a request got no answer", file=sys.stderr)
        self.answers.append(Answer(asked, time.monotonic(), status, model))


@dataclass(frozen=True)
class Rollback:
    """Seconds from the first bad answer, and what users met."""

    written: float
    effective: float
    num_bad: int
    num_asked: int
    num_lost: int


@dataclass
class Scene:
    """All parts of it."""

    cluster: Reach
    namespace: str
    diary: Diary
    engines: dict[str, Engine]

    def locate(self, engine: ListedEndpoint) -> ListedEndpoint:
        """Reach the pods of the stable model at one engine, those of any other at the other."""
        address = engine.address.rpartition(":")[0]
        revision = next(
            (
                body["metadata"]["labels"].get(names.LABEL_REVISION)
                for _, _, body in reversed(list(self.diary.lines))
                if body["kind"] == "Pod" and (body.get("status") or {}).get("podIP") == address
            ),
            None,
        )
        if revision is None:
            return engine
        grpc, http = self.engines["old" if revision == names.short(OLD) else "new"].ports
        return replace(engine, address=f"127.0.0.1:{grpc}", http=f"http://127.0.0.1:{http}")

    def access(self, folder: Path) -> Access:
        """Return the gateway's way to the API server: with the account that the operator made for it."""
        account = names.gateway_name(NAME)
        wait_for(
            "the gateway's account",
            lambda: self.cluster.get("serviceaccount", account, self.namespace),
            WITHIN_S,
        )
        (folder / "token").write_text(
            self.cluster.kubectl("create", "token", account, "-n", self.namespace, "--duration=1h")
        )
        (chosen,) = yaml.safe_load(self.cluster.kubeconfig.read_text())["clusters"]
        authority, file = chosen["cluster"], folder / "ca.crt"
        if "certificate-authority-data" in authority:
            file.write_bytes(base64.b64decode(authority["certificate-authority-data"]))
        else:
            file.write_bytes(Path(authority["certificate-authority"]).read_bytes())
        return Access(self.cluster.url, folder / "token", file)

    def give_address(self) -> None:
        """Say of the gateway's pod that it is at our address, as a kubelet would."""
        chosen = f"{names.LABEL_ROLE}={names.ROLE_GATEWAY}"

        def running() -> str:
            template = "{.items[?(@.status.phase=='Running')].metadata.name}"
            return self.cluster.kubectl(
                "get", "pods", "-n", self.namespace, "-l", chosen, "-o", f"jsonpath={template}"
            )

        pod = wait_for("the gateway's pod", running, WITHIN_S)
        status = (
            f'{{"status": {{"podIP": "{HOST}", "podIPs": [{{"$patch": "replace"}}, {{"ip": "{HOST}"}}]}}}}'
        )
        self.cluster.kubectl(
            *(
                "patch",
                "pod",
                pod,
                "-n",
                self.namespace,
                "--subresource=status",
                "--type=strategic",
                "-p",
                status,
            )
        )

    def ask_for(self, digest: str) -> None:
        """Want another model."""
        spec = f'{{"spec": {{"model": {{"uri": "s3://models/one", "digest": "{digest}"}}}}}}'
        self.cluster.kubectl("patch", "mdeploy", NAME, "-n", self.namespace, "--type=merge", "-p", spec)

    async def until(self, digest: str, stage: str) -> float:
        """Return when the status first said that a model is in a stage."""

        def is_it(body: Body) -> bool:
            candidate = (body.get("status") or {}).get("candidate") or {}
            return (candidate.get("digest"), candidate.get("stage")) == (digest, stage)

        async with asyncio.timeout(WITHIN_S):
            while (found := self.diary.when(is_it)) is None:
                await asyncio.sleep(0.1)
        return found


def deployment(namespace: str) -> Body:
    """Nothing but what must be said, and a ramp that begins with half of all users."""
    spec = {
        "model": {"uri": "s3://models/one", "digest": OLD},
        "replicas": 1,
        "pools": [{"name": "l4", "accelerator": "nvidia-l4", "zones": ["zone-a"], "max": 4}],
        "rollout": {"everyone": True, "ramp": [50, 100]},
        "gateway": {"replicas": 1, "holdMs": 5000},
    }
    metadata = {"name": NAME, "namespace": namespace}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND_DEPLOYMENT,
        "metadata": metadata,
        "spec": spec,
    }


async def rolled_back(scene: Scene, users: Users, number: int) -> Rollback:
    """Bring a model that fails, wait until it is gone."""
    engine, digest = scene.engines["new"], f"{number + 2:x}" * 64
    engine.show(digest)
    if number % 2 == 0:
        engine.trouble.touch()
    began = len(users.answers)
    await asyncio.to_thread(scene.ask_for, digest)
    await scene.until(digest, "Ramp")
    if number % 2:
        await asyncio.sleep(GOOD_S)
        engine.trouble.touch()
    written = await scene.until(digest, "RolledBack")
    await asyncio.sleep(5)
    engine.trouble.unlink()
    answers = users.answers[began:]
    bad = [answer for answer in answers if answer.status == 500]
    first = min(answer.answered for answer in bad)
    last = max(
        answer.asked for answer in answers if answer.status == 500 or answer.model == names.short(digest)
    )
    lost = sum(answer.status not in (200, 500) for answer in answers)
    return Rollback(written - first, last - first, len(bad), len(answers), lost)


@contextlib.asynccontextmanager
async def asking(users: Users) -> AsyncIterator[None]:
    """Have users ask meanwhile."""
    task = asyncio.create_task(users.ask_for_ever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def measured(scene: Scene, folder: Path) -> list[Rollback]:
    """Let the first model serve everyone, then bring one bad model after the other."""
    await asyncio.gather(*(engine.wait() for engine in scene.engines.values()))
    await asyncio.to_thread(scene.cluster.apply, deployment(scene.namespace))
    access = await asyncio.to_thread(scene.access, folder)
    await asyncio.to_thread(scene.give_address)
    async with running_gateway(
        access, scene.namespace, NAME, scene.locate, host=HOST, metrics_port=GATEWAY_PORT
    ) as gateway:
        await scene.until(OLD, "Everyone")
        async with asyncio.timeout(WITHIN_S):
            while (await gateway.ask("first")).status_code != 200:
                await asyncio.sleep(0.1)
        timeout, connector = aiohttp.ClientTimeout(total=20), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            users = Users(f"http://{HOST}:{gateway.port}", session)
            async with asking(users):
                return [await rolled_back(scene, users, number) for number in range(NUM_REPEATS)]


def measure() -> list[Row]:
    """Six models that fail."""
    from tests.bench.serve.gateway import echo_model

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        cluster = stack.enter_context(cluster_of(launcher.FULL))
        model = echo_model(folder)
        engines = {label: Engine(folder, model, OLD, label, max_concurrency=64) for label in ("old", "new")}
        for engine in engines.values():
            stack.callback(engine.child.stop, 1)
        cluster.add_nodes([NodeSpec("l4-1")])
        namespace = cluster.namespace()
        cluster.kubectl("create", "serviceaccount", "daybreak-pipeline", "-n", namespace)
        diary = Diary(clients.connect({}, str(cluster.kubeconfig)), namespace)
        diary.follow(DEPLOYMENTS, PODS)
        stack.enter_context(operator(cluster.kubeconfig, cluster.namespace(), folder / "log"))
        found = asyncio.run(measured(Scene(cluster, namespace, diary, engines), folder))
    return rows_of(found)


def rows_of(found: list[Rollback]) -> list[Row]:
    """Return the figures."""
    effective, each = [one.effective for one in found], f"of {len(found)}"
    bad, asked = sum(one.num_bad for one in found), sum(one.num_asked for one in found)
    return [
        Row(
            f"first bad answer to the rollback in the status, the slowest {each}",
            max(one.written for one in found),
            "s",
            "<= 30",
            note=f"half bad from the start, half after {GOOD_S:g} good seconds",
        ),
        Row(
            f"first bad answer to the last request that met the candidate, the slowest {each}",
            max(effective),
            "s",
            "<= 30",
        ),
        Row(
            "first bad answer to the last request that met the candidate, P50",
            statistics.median(effective),
            "s",
            "",
        ),
        Row(
            "requests that the candidates failed",
            bad,
            "",
            "",
            note=f"of {asked} at {RATE}/s; every second one that they got",
        ),
        Row("other requests lost", sum(one.num_lost for one in found), "", "0", note=f"of {asked}"),
    ]
