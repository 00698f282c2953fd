"""The whole of it as a user meets it: a real model behind a real Triton and the gateway, as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from daybreak_contracts.errors import TransientError, UserError
from daybreak_serve.local import serving as local
from daybreak_serve.local.serving import LocalServer, ServeSettings
from tests.plugins.needs import starts
from tests.serve.conftest import TEXTS, group_of, wait_for


@pytest.fixture(scope="module")
@starts("triton")
def served(model_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    work_dir = tmp_path_factory.mktemp("local")
    with local.serve(model_uri, work_dir=work_dir, port=0) as server:
        yield server


@pytest.fixture(scope="module")
def reference(model_uri: str) -> Any:
    """The same model through transformers alone: text of a greedy completion of token ids."""
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(model_uri, torch_dtype=torch.float32).eval()
    tokenizer = Tokenizer.from_file(f"{model_uri}/tokenizer.json")

    def greedy(ids: list[int], num_tokens: int) -> str:
        out = model.generate(torch.tensor([ids]), max_new_tokens=num_tokens, do_sample=False, pad_token_id=4)
        return str(tokenizer.decode(out[0, len(ids) :].tolist(), skip_special_tokens=True))

    return greedy, tokenizer


@pytest.fixture
def client(served: LocalServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("prompt", TEXTS, ids=["function", "class", "other scripts", "loop"])
def test_greedy_text_is_that_of_transformers(
    served: LocalServer, reference: Any, client: openai.OpenAI, prompt: str
) -> None:
    greedy, tokenizer = reference
    answer = client.completions.create(model="daybreak", prompt=prompt, max_tokens=40, temperature=0)
    expected = greedy(tokenizer.encode(prompt, add_special_tokens=False).ids, 40)
    assert answer.choices[0].text == expected
    again = client.completions.create(model="daybreak", prompt=prompt, max_tokens=40, temperature=0)
    assert again.choices[0].text == expected  # now from a kept cache


def test_fill_in_the_middle_is_that_of_transformers(reference: Any, client: openai.OpenAI) -> None:
    greedy, tokenizer = reference
    prefix, suffix = "def add(a, b):\n    ", "\n    return c\n"
    answer = client.completions.create(model="daybreak", prompt=prefix, suffix=suffix, max_tokens=24)

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    expected = greedy([1, *encode(prefix), 3, *encode(suffix), 2], 24)
    assert answer.choices[0].text == expected


def test_the_official_client_streams_what_it_gets_whole(client: openai.OpenAI) -> None:
    asking = {"model": "daybreak", "prompt": TEXTS[2], "max_tokens": 48}
    whole = client.completions.create(**asking)
    pieces = list(client.completions.create(**asking, stream=True, stream_options={"include_usage": True}))
    texts = [piece.choices[0].text for piece in pieces if piece.choices]
    assert "".join(texts) == whole.choices[0].text
    assert pieces[-1].usage == whole.usage
    assert whole.choices[0].finish_reason == pieces[-2].choices[0].finish_reason


def test_sampling_repeats_with_its_seed(client: openai.OpenAI) -> None:
    asking = {"model": "daybreak", "prompt": "x = ", "max_tokens": 32, "temperature": 1.0, "top_p": 0.9}
    first, second = (client.completions.create(**asking, seed=5).choices[0].text for _ in range(2))
    other = client.completions.create(**asking, seed=6).choices[0].text
    assert first == second != other


def test_a_stop_string_ends_the_text_before_it(client: openai.OpenAI) -> None:
    asking = {"model": "daybreak", "prompt": TEXTS[0], "max_tokens": 40}
    text = client.completions.create(**asking).choices[0].text
    stop = text[10:13]
    answer = client.completions.create(**asking, stop=[stop]).choices[0]
    assert (answer.text, answer.finish_reason) == (text[: text.index(stop)], "stop")


def test_requests_at_once_get_what_they_get_alone(client: openai.OpenAI) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def ask(prompt: str) -> str:
        return client.completions.create(model="daybreak", prompt=prompt, max_tokens=40).choices[0].text

    prompts = [text[:cut] for text in TEXTS for cut in (8, 16)]
    alone = [ask(prompt) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, prompts)) == alone


def test_an_error_reaches_the_official_client_as_its_own_kind(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.completions.create(model="daybreak", prompt="x", temperature=3)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_our_own_client_asks(served: LocalServer) -> None:
    answer = local.complete(served.url, prompt="def f():" * 200, max_tokens=4)
    assert (answer.completion_tokens, answer.finish_reason) == (4, "length")
    assert answer.truncated_tokens > 0
    with pytest.raises(UserError, match="temperature"):
        local.complete(served.url, prompt="x", temperature=9.0)


@pytest.mark.parametrize("url", ["here", "ftp://127.0.0.1", ""])
def test_a_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UserError, match="http://host:port"):
        local.complete(url, prompt="x")


def test_our_own_client_without_a_gateway_says_what_to_start() -> None:
    with pytest.raises(TransientError, match="daybreak serve"):
        local.complete("http://127.0.0.1:9", prompt="x")


@pytest.mark.slow
def test_a_killed_triton_is_answered_by_503_and_comes_back(served: LocalServer) -> None:
    os.kill(served.triton.child.pid, signal.SIGKILL)
    response = wait_for(served.url, 503)
    assert response.headers["retry-after"] == "1"
    answer = httpx.post(f"{served.url}/v1/completions", json={"prompt": "x"}, trust_env=False)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"]["code"] == "engine_down"
    wait_for(served.url, 200, timeout_s=120)
    assert local.complete(served.url, prompt="x", max_tokens=1).completion_tokens == 1


@pytest.mark.slow
def test_a_killed_engine_inside_a_living_triton_is_noticed(served: LocalServer) -> None:
    triton = served.triton.child.pid
    (stub,) = [pid for pid in group_of(triton) if pid != triton]
    os.kill(stub, signal.SIGKILL)
    response = httpx.post(f"{served.url}/v1/completions", json={"prompt": "x"}, trust_env=False, timeout=30)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    wait_for(served.url, 503)
    wait_for(served.url, 200, timeout_s=120)
    assert served.triton.child.pid != triton
    assert local.complete(served.url, prompt="x", max_tokens=1).completion_tokens == 1


@pytest.mark.slow
@pytest.mark.parametrize("which", ["triton", "engine", "gateway"])
def test_what_hangs_is_ended_and_started_again(served: LocalServer, which: str) -> None:
    """A process that was stopped was taken for well for ever."""
    triton, gateway = served.triton.child.pid, served.gateway_pid()
    (stub,) = [pid for pid in group_of(triton) if pid != triton]
    hung = {"triton": triton, "engine": stub, "gateway": gateway}[which]
    began = time.monotonic()
    os.kill(hung, signal.SIGSTOP)
    deadline = began + 60
    while Path(f"/proc/{hung}").exists() and hung in (stub, *group_of(triton), served.gateway_pid()):
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(0.05)
    print(f"{which}: ended after {time.monotonic() - began:.1f} s")
    wait_for(served.url, 200, timeout_s=120)
    assert local.complete(served.url, prompt="x", max_tokens=1).completion_tokens == 1


@pytest.mark.slow
def test_shared_memory_is_nobody_elses(served: LocalServer) -> None:
    """Prompts lie in it; it was readable for every user of the machine."""
    deadline = time.monotonic() + 30
    while open_to_others():  # a spare's, which has no prompts yet, within two seconds
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert list(Path("/dev/shm").glob(f"daybreak_{os.getpid()}_*"))


def open_to_others() -> list[Path]:
    """Return shared memory of this process' servers that others may read."""
    mine = Path("/dev/shm").glob(f"daybreak_{os.getpid()}_*")
    return [path for path in mine if path.stat().st_mode & 0o077]


@pytest.mark.slow
def test_a_killed_gateway_comes_back_on_its_port(served: LocalServer) -> None:
    before = served.gateway_pid()
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while served.gateway_pid() == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_for(served.url, 200)
    assert local.complete(served.url, prompt="x", max_tokens=1).completion_tokens == 1


SCRIPT = """
import sys
from pathlib import Path
from daybreak_serve.local.serving import serve_forever
sys.exit(serve_forever(sys.argv[1], work_dir=Path(sys.argv[2]), port=0))
"""


def processes_of(folder: Path) -> list[int]:
    """Return the processes whose command line names a folder, ourselves excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command:
                found.append(int(entry.name))
    return found


@pytest.mark.needs("triton")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_whatever_ends_the_server_nothing_is_left(
    model_uri: str, tmp_path: Path, number: signal.Signals
) -> None:
    before = set(Path("/dev/shm").iterdir())
    command = [sys.executable, "-c", SCRIPT, model_uri, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving abababab")
        assert len(processes_of(tmp_path)) >= 4  # itself, Triton, its stub, the gateway
        process.send_signal(number)
        process.wait(120)
    assert process.returncode == (0 if number != signal.SIGKILL else -signal.SIGKILL)
    deadline = time.monotonic() + 60
    while processes_of(tmp_path):
        assert time.monotonic() < deadline, f"left behind: {processes_of(tmp_path)}"
        time.sleep(0.1)
    mine = [
        path
        for path in set(Path("/dev/shm").iterdir()) - before
        if path.name.startswith(f"daybreak_{process.pid}_")
    ]
    if number != signal.SIGKILL:
        assert mine == []
        assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("triton")
@pytest.mark.slow
def test_a_model_that_answers_otherwise_than_its_golden_completion_is_refused(
    model_uri: str, tmp_path: Path
) -> None:
    import json
    import shutil

    from daybreak_contracts import artifacts

    staging = tmp_path / "staging"
    shutil.copytree(model_uri, staging)
    golden = json.loads((staging / "golden.json").read_text())
    golden["tokens"][-1] += 1
    (staging / "golden.json").write_text(json.dumps(golden))
    target = str(tmp_path / "model")
    artifacts.commit(target, staging, step="export", digest="cd" * 32, inputs={}, result={})
    with (
        pytest.raises(UserError, match="golden completion differs"),
        local.serve(target, work_dir=tmp_path / "work", port=0, settings=ServeSettings()),
    ):
        pass


def test_a_taken_port_is_told_before_anything_starts(model_uri: str, tmp_path: Path) -> None:
    with local.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match="--port"), local.serve(model_uri, work_dir=tmp_path, port=port):
            pass
