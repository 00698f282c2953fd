"""The engine pod on a real Triton: ready when it answers as it should, not ready at once when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from daybreak_contracts import artifacts
from daybreak_contracts.kubernetes_access import Access
from daybreak_contracts.launch import identity_of
from daybreak_contracts.ports import free_port
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.pool.streams import EngineClient, infer_request
from daybreak_serve.model_metadata import ModelMetadata, check_tokenizer
from daybreak_serve.modelfolder import ModelFolder
from daybreak_serve.process import Child
from tests.serve.api_server import (
    DEPLOYMENTS,
    NAME,
    NAMESPACE,
    SLICES,
    TOKEN,
    ApiServer,
    deployment,
    endpoint_slice,
)
from tests.serve.conftest import group_of, wait_for
from tests.serve.gateways import running_gateway

pytestmark = pytest.mark.needs("triton")


@dataclass
class EnginePod:
    """A pod's process and its ports."""

    child: Child
    grpc: str
    http: str
    termination_log: Path

    def status(self, path: str) -> int:
        return httpx.get(f"{self.http}{path}", timeout=5, trust_env=False).status_code


RUN = "import sys; from pathlib import Path; from daybreak_serve.pod.__main__ import main; "


def start(model: Path, folder: Path, *options: str) -> EnginePod:
    """Start an engine pod on this machine; it is not ready yet."""
    ports = [free_port() for _ in range(3)]
    log = folder / "termination-log"
    log.touch()
    code = RUN + f"sys.exit(main(sys.argv[1:], Path({str(log)!r})))"
    names = ("--port", "--metrics-port", "--http-port")
    numbers = [text for name, port in zip(names, ports, strict=True) for text in (name, str(port))]
    command = [sys.executable, "-c", code, "engine", "--model", str(model), "--host", "127.0.0.1", *numbers]
    child = Child([*command, *options], {**os.environ, "TMPDIR": str(folder)}, folder / "log")
    return EnginePod(child, f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[2]}", log)


@pytest.fixture(scope="module")
def pod(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginePod]:
    """A pod that is ready; the last test ends it."""
    found = start(
        model.path, tmp_path_factory.mktemp("pod"), "--linger-seconds", "1", "--max-concurrency", "3"
    )
    statuses: list[int] = []
    deadline = time.monotonic() + 120
    while not statuses or statuses[-1] != 200:
        assert found.child.exit_code is None, found.child.log_tail()
        assert time.monotonic() < deadline, found.child.log_tail()
        with contextlib.suppress(httpx.TransportError):
            statuses.append(found.status("/readyz"))
        time.sleep(0.02)
    assert statuses[0] == 503, "it was ready before its model was loaded"
    yield found
    found.child.stop(5)


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
async def test_it_is_reached_by_ipv6_alone(model: ModelFolder, tmp_path: Path) -> None:
    metrics_port = free_port()
    found = start(model.path, tmp_path, "--host", "::", "--metrics-port", str(metrics_port))
    port, http_port = (address.rpartition(":")[2] for address in (found.grpc, found.http))
    try:
        deadline = time.monotonic() + 120
        status = 0
        while status != 200:
            assert found.child.exit_code is None, found.child.log_tail()
            assert time.monotonic() < deadline, found.child.log_tail()
            with contextlib.suppress(httpx.TransportError):
                status = httpx.get(f"http://[::1]:{http_port}/readyz", trust_env=False).status_code
            time.sleep(0.05)
        text = httpx.get(f"http://[::1]:{http_port}/model", trust_env=False).content
        metadata = ModelMetadata.model_validate_json(text)
        client = EngineClient(f"[::1]:{port}", timeout_s=30)
        options = GenerationOptions(max_tokens=len(metadata.golden_token_ids))
        assert await client.complete(metadata.golden_prompt_ids, options) == metadata.golden_token_ids
        await client.close()
        metrics = httpx.get(f"http://[::1]:{metrics_port}/metrics", trust_env=False)
        assert "nv_inference_request_success" in metrics.text
    finally:
        found.child.stop(5)


def test_it_shows_its_model(pod: EnginePod, model: ModelFolder) -> None:
    metadata = ModelMetadata.model_validate_json(httpx.get(f"{pod.http}/model", trust_env=False).content)
    assert metadata.is_of(model.digest)
    assert metadata.is_of(artifacts.load(str(model.path)).content_digest)
    assert (metadata.context_length, metadata.fim, metadata.max_concurrency) == (256, "PSM", 3)
    tokenizer = httpx.get(f"{pod.http}/tokenizer", trust_env=False).content
    assert check_tokenizer(tokenizer, metadata) == (model.path / "tokenizer.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="digest"):
        check_tokenizer(tokenizer + b" ", metadata)
    assert pod.status("/livez") == 200


def test_it_tells_what_its_start_took(pod: EnginePod) -> None:
    text = httpx.get(f"{pod.http}/metrics", trust_env=False).text
    for stage in ("load", "warm"):
        assert f'daybreak_engine_start_seconds{{stage="{stage}"}}' in text
    assert "started: load" in pod.child.log_tail()


async def test_it_answers_what_the_card_says_is_its_golden_completion(pod: EnginePod) -> None:
    metadata = ModelMetadata.model_validate_json(httpx.get(f"{pod.http}/model", trust_env=False).content)
    client = EngineClient(pod.grpc, timeout_s=30)
    options = GenerationOptions(max_tokens=len(metadata.golden_token_ids))
    assert await client.complete(metadata.golden_prompt_ids, options) == metadata.golden_token_ids
    await client.close()


async def test_a_gateway_finds_it_by_its_slice_and_composes_by_its_tokenizer(
    pod: EnginePod, model: ModelFolder, tmp_path: Path
) -> None:
    api = ApiServer()
    await api.start()
    (tmp_path / "token").write_text(TOKEN)
    ports = int(pod.grpc.rpartition(":")[2]), int(pod.http.rpartition(":")[2])
    await api.put(SLICES, endpoint_slice(model.digest, "pod", ports))
    await api.put(DEPLOYMENTS, deployment(stable=f"sha256:{model.digest}", holdMs=5000))
    async with running_gateway(Access(api.url, tmp_path / "token"), NAMESPACE, NAME) as gateway:
        await gateway.ready()
        body = {"prompt": "def add(a, b):", "suffix": "\n", "max_tokens": 8}
        first, second = [(await gateway.client.post("/v1/completions", json=body)).json() for _ in range(2)]
        (listed,) = (await gateway.client.get("/v1/models")).json()["data"]
    assert first["choices"] == second["choices"]
    assert first["usage"]["prompt_tokens"] > 3
    assert (listed["context_length"], listed["fim"]) == (256, "PSM")
    await api.stop()


@pytest.mark.parametrize(
    ("method", "request_of"),
    [
        pytest.param("RepositoryModelUnload", "RepositoryModelUnloadRequest", id="unloading the model"),
        pytest.param("RepositoryModelLoad", "RepositoryModelLoadRequest", id="loading another"),
        pytest.param("SystemSharedMemoryStatus", "SystemSharedMemoryStatusRequest", id="shared memory"),
        pytest.param("TraceSetting", "TraceSettingRequest", id="tracing"),
        pytest.param("LogSettings", "LogSettingsRequest", id="the log"),
    ],
)
def test_nobody_on_the_network_may_do_more_than_ask(pod: EnginePod, method: str, request_of: str) -> None:
    with grpc.insecure_channel(pod.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="restricted"):
            getattr(stub, method)(getattr(service_pb2, request_of)(), timeout=10)


async def test_it_ends_without_breaking_off_what_it_answers(pod: EnginePod) -> None:
    client = EngineClient(pod.grpc, timeout_s=30)
    first, late = client.open(), client.open()
    await first.ask(
        infer_request([200, 201], GenerationOptions(max_tokens=250, temperature=1.0, seed=1), "first")
    )
    assert await first.next_chunk() is not None
    os.kill(pod.child.pid, signal.SIGTERM)
    async with asyncio.timeout(10):
        while await asyncio.to_thread(pod.status, "/readyz") == 200:
            await asyncio.sleep(0.01)
    await late.ask(infer_request([5], GenerationOptions(max_tokens=200, temperature=1.0, seed=2), "late"))
    reasons = []
    for stream in (first, late):
        while (chunk := await stream.next_chunk()) is not None:
            reasons.append(chunk.finish_reason)
    assert [reason for reason in reasons if reason] in (["length"] * 2, ["length", "stop"], ["stop"] * 2)
    assert await asyncio.to_thread(pod.child.wait, 30)  # although the gateway's streams stay open
    assert pod.child.exit_code == 0, pod.child.log_tail()
    await client.close()


@pytest.mark.slow
def test_the_death_of_triton_ends_the_pod_with_the_reason(model: ModelFolder, tmp_path: Path) -> None:
    pod = start(model.path, tmp_path)
    try:
        wait_for(pod.http, 200, 120)
        (triton,) = [one for one in group_leaders(tmp_path) if one != pod.child.pid]
        os.kill(triton, signal.SIGKILL)
        assert pod.child.wait(120)
        assert pod.child.exit_code == 75
        assert "Triton ended with -9" in pod.termination_log.read_text()
        assert group_of(triton) == []
    finally:
        pod.child.stop(1)


def group_leaders(folder: Path) -> list[int]:
    """Return the processes that lead a group and name a folder in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                leads = os.getpgid(int(entry.name)) == int(entry.name)
                if leads and str(folder).encode() in command and identity_of(int(entry.name)):
                    found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_a_pod_that_is_told_to_end_while_it_loads_ends(model: ModelFolder, tmp_path: Path) -> None:
    pod = start(model.path, tmp_path)
    try:
        wait_for(pod.http, 503, 60)
        os.kill(pod.child.pid, signal.SIGTERM)
        assert pod.child.wait(120)
        assert pod.child.exit_code == 0, pod.child.log_tail()
        assert group_leaders(tmp_path) == []
    finally:
        pod.child.stop(1)


@pytest.mark.slow
def test_a_model_that_answers_otherwise_is_never_ready(model_uri: str, tmp_path: Path) -> None:
    staging = Path(shutil.copytree(model_uri, tmp_path / "staging"))
    golden = json.loads((staging / "golden.json").read_text())
    golden["tokens"][0] += 1
    (staging / "golden.json").write_text(json.dumps(golden))
    artifacts.commit(str(tmp_path / "m"), staging, step="export", digest="cd" * 32, inputs={}, result={})
    pod = start(tmp_path / "m", tmp_path)
    try:
        while pod.child.exit_code is None:
            with contextlib.suppress(httpx.TransportError):
                assert pod.status("/readyz") == 503
            pod.child.wait(0.05)
        assert pod.child.exit_code == 2
        assert "golden completion differs" in pod.termination_log.read_text()
    finally:
        pod.child.stop(1)


def test_a_fetched_model_of_another_size_is_refused(model_uri: str, tmp_path: Path) -> None:
    model = Path(shutil.copytree(model_uri, tmp_path / "m"))
    (model / "golden.json").write_text("{}")
    pod = start(model, tmp_path)
    assert pod.child.wait(60)
    assert pod.child.exit_code == 2
    assert "golden.json: is not what the manifest lists" in pod.termination_log.read_text()
