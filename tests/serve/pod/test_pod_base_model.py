"""A base model from its hub's folder through the pods: fetched by its digest, served, asked by a gateway."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from daybreak_contracts import names
from daybreak_contracts.kubernetes_access import Access
from daybreak_serve.modelfolder import open_model
from daybreak_serve.pod.__main__ import main
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
from tests.serve.families import BASE_FAMILIES, Reference, write_base
from tests.serve.gateways import running_gateway
from tests.serve.pod.test_pod_engine import EnginePod, start

CHAT = "{{ bos_token }}{% for one in messages %}### {{ one.role }}:\n{{ one.content }}\n{% endfor %}### Response:\n"
FAMILY = replace(BASE_FAMILIES["DeepSeek-Coder"], chat=CHAT)


def wait_ready(pod: EnginePod) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert pod.child.exit_code is None, pod.child.log_tail()
        assert time.monotonic() < deadline, pod.child.log_tail()
        with contextlib.suppress(httpx.TransportError):
            if pod.status("/readyz") == 200:
                return
        time.sleep(0.05)


@pytest.mark.needs("triton")
async def test_it_is_fetched_served_and_asked_in_its_own_way(tmp_path: Path) -> None:
    hub, fetched = tmp_path / "hub", tmp_path / "models/current"
    hub.mkdir()
    write_base(hub, FAMILY)
    reference, digest = Reference.of(hub), open_model(str(hub), tmp_path).digest
    ends = sorted(open_model(str(hub), tmp_path).end_ids)
    asked = ["fetch", "--uri", str(hub), "--digest", f"sha256:{digest}", "--into", str(fetched)]
    assert main(asked, tmp_path / "termination-log") == 0
    pod = start(fetched, tmp_path)
    try:
        wait_ready(pod)
        metrics = httpx.get(f"{pod.http}/metrics", trust_env=False).text
        assert all(f'start_seconds{{stage="{stage}"}}' in metrics for stage in ("fetch", "load", "warm"))
        api = ApiServer()
        await api.start()
        (tmp_path / "token").write_text(TOKEN)
        ports = int(pod.grpc.rpartition(":")[2]), int(pod.http.rpartition(":")[2])
        await api.put(SLICES, endpoint_slice(digest, "pod", ports))
        await api.put(DEPLOYMENTS, deployment(stable=f"sha256:{digest}", holdMs=5000))
        async with running_gateway(Access(api.url, tmp_path / "token"), NAMESPACE, NAME) as gateway:
            await gateway.ready()
            body = {"prompt": "def add(a, b):", "max_tokens": 12}
            completion = (await gateway.client.post("/v1/completions", json=body)).json()
            said = {"messages": [{"role": "user", "content": "add"}], "max_tokens": 12}
            chat = (await gateway.client.post("/v1/chat/completions", json=said)).json()
        await api.stop()
    finally:
        pod.child.stop(5)
    conversation = reference.tokenizer.apply_chat_template(
        said["messages"], tokenize=False, add_generation_prompt=True
    )
    for text, found, used in (
        (body["prompt"], completion["choices"][0]["text"], completion["usage"]),
        (
            conversation.removeprefix(FAMILY.begin),
            chat["choices"][0]["message"]["content"],
            chat["usage"],
        ),
    ):
        ids = reference.tokenizer(text)["input_ids"]  # its first token is put in by the tokenizer
        tokens = reference.greedy(ids, 12, ends)
        assert found == reference.text(tokens[:-1] if tokens[-1] in ends else tokens)
        assert used["prompt_tokens"] == len(ids)
    assert names.short(digest) in completion["system_fingerprint"]
