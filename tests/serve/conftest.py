"""Models and servers for the serving tests: a tiny real Llama, and an echo engine behind the same protocol."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from daybreak_contracts import artifacts, names
from daybreak_contracts.progress import Progress
from daybreak_serve.engine.installation import Kind, find_installation
from daybreak_serve.engine.repository import build_repository
from daybreak_serve.engine.triton import Reach, ServerFiles, TritonServer, free_port
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.local.serving import listen, url_of
from daybreak_serve.modelfolder import ModelFolder, open_model
from daybreak_serve.process import Child
from tests.plugins import object_storage
from tests.plugins.needs import starts
from tests.serve.gateways import NEW, OLD, Engine

TEXTS = [
    "def add(a, b):\n    return a + b\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "für alle Größen: naïve café, 数据, 🙂\n",
    "for index in range(10):\n    print(index)\n",
]
CONTEXT_LENGTH = 256

SLOW_BACKEND = '''
import json, threading, time
import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Answers the prompt's own ids as text, one token a response, ``temperature`` x 100 ms apart."""

    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self._log = open(parameters["token_log"]["string_value"], "a", buffering=1)

    def execute(self, requests):
        for request in requests:
            ids = triton.get_input_tensor_by_name(request, "prompt_ids").as_numpy()
            options = json.loads(triton.get_input_tensor_by_name(request, "options").as_numpy()[0])
            sender = request.get_response_sender()
            if options["temperature"] == 0:
                self._answer(sender, ids, options)
            else:
                threading.Thread(target=self._answer, args=(sender, ids, options), daemon=True).start()

    def _answer(self, sender, ids, options):
        for index in range(options["max_tokens"]):
            if options["temperature"]:
                time.sleep(options["temperature"] / 10)
                if sender.is_cancelled():
                    self._log.write(json.dumps({"end": "cancelled", "tokens": index, "at": time.monotonic()}) + "\\n")
                    self._send(sender, "", [], "cancelled")
                    return
            last = index + 1 == options["max_tokens"]
            token = int(ids[index % len(ids)])
            self._log.write(json.dumps({"token": token, "at": time.monotonic()}) + "\\n")
            self._send(sender, f"{token} ", [token], "length" if last else None)

    def _send(self, sender, text, token_ids, reason):
        chunk = json.dumps({"text": text, "token_ids": token_ids, "finish_reason": reason}).encode()
        response = triton.InferenceResponse([triton.Tensor("chunk", np.array([chunk], dtype=np.object_))])
        sender.send(response, flags=triton.TRITONSERVER_RESPONSE_COMPLETE_FINAL if reason else 0)
'''


def write_tokenizer(folder: Path) -> Any:
    """Train a byte-level BPE tokenizer with the project's special tokens and write it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=[AddedToken(token, special=True) for token in names.SPECIAL_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": names.END_OF_TEXT})
    )
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": names.END_OF_TEXT}))
    return tokenizer


def write_llama(folder: Path, vocabulary_size: int, **changes: Any) -> None:
    """Write a random Llama of some 100,000 parameters and the greedy completion it must answer."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    shape = {"num_attention_heads": 4, "num_key_value_heads": 2, **changes}
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        max_position_embeddings=CONTEXT_LENGTH,
        initializer_range=0.4,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=4,
        **shape,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config = GenerationConfig(eos_token_id=0, pad_token_id=4)
    model.save_pretrained(folder, safe_serialization=True)
    prompt = list(range(200, 220))
    answer = model.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False, pad_token_id=4)
    golden = {"promptTokens": prompt, "tokens": answer[0, len(prompt) :].tolist()}
    (folder / "golden.json").write_text(json.dumps(golden))


def export(root: Path, **changes: Any) -> str:
    """Commit an export artifact with a real tiny model; return its URI."""
    uri = artifacts.uri_of(str(root), names.STEP_EXPORT, "ab" * 32)
    staging = artifacts.staging_folder(uri, str(root))
    tokenizer = write_tokenizer(staging)
    write_llama(staging, tokenizer.get_vocab_size(), **changes)
    artifacts.commit(uri, staging, step=names.STEP_EXPORT, digest="ab" * 32, inputs={}, result={})
    return uri


@pytest.fixture(scope="session")
def model_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A committed export artifact with a real tiny model."""
    return export(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def model(model_uri: str, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return open_model(model_uri, tmp_path_factory.mktemp("cache"))


def new_server(folder: Path, *, metrics: bool = False, kind: Kind = "TritonPython") -> TritonServer:
    """Return a server, not started, for the repository in a folder."""
    files = ServerFiles(folder / "repository", folder / "backends", folder / "triton.log")
    reach = Reach(metrics_port=free_port() if metrics else None)
    return TritonServer(find_installation(kind), files, base_environment=os.environ, reach=reach)


def slow_repository(model: ModelFolder, folder: Path) -> Path:
    """Build a repository and put the echo engine in the place of the real one; return its token log."""
    log = folder / "tokens.jsonl"
    repository = build_repository(model, folder / "repository")
    (repository / "completion/1/model.py").write_text(SLOW_BACKEND)
    config = repository / "completion/config.pbtxt"
    parameter = f'parameters {{ key: "token_log" value {{ string_value: "{log}" }} }}\n'
    config.write_text(config.read_text() + parameter)
    return log


def start_gateway(
    model: ModelFolder, engine: str, folder: Path, *, num_files: int = 0, **changes: Any
) -> tuple[Child, str]:
    """Start a gateway process before an engine that may or may not be there; return it and its URL.

    ``num_files`` bounds its open files.
    """
    listener = listen("127.0.0.1", 0)
    config = GatewayConfig(
        engine=engine,
        model_folder=str(model.path),
        model_digest=model.digest,
        context_length=model.context_length,
        vocabulary_size=model.vocabulary_size,
        event_log=str(folder / "events.jsonl"),
        probe_interval_s=0.1,
        **changes,
    )
    (folder / "gateway.json").write_text(config.model_dump_json())
    command = [sys.executable, "-m", "daybreak_serve.gateway", "--config", str(folder / "gateway.json")]
    if num_files:
        command = ["/bin/sh", "-c", f'ulimit -n {num_files} && exec "$@"', "sh", *command]
    fds = [listener.fileno()]
    child = Child([*command, "--fd", str(fds[0])], os.environ, folder / "gateway.log", pass_fds=fds)
    url = url_of(listener)
    listener.close()
    return child, url


@contextlib.contextmanager
def gateway_before_an_engine(model: ModelFolder, folder: Path, **changes: Any) -> Iterator[str]:
    """Run a gateway before an echo engine that counts, both processes; yield its URL when it answers."""
    engine = Engine(folder, model, OLD, "counting")
    child, url = start_gateway(model, f"127.0.0.1:{engine.ports[0]}", folder, **changes)
    try:
        wait_for(url, 200)
        yield url
    finally:
        child.stop(2)
        engine.child.stop(2)


@pytest.fixture(scope="session")
def engines(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """Two echo engines of an old model and one of a new, starting."""
    folder = tmp_path_factory.mktemp("engines")
    wanted = {"old-a": OLD, "old-b": OLD, "new-a": NEW}
    found = {name: Engine(folder, model, digest, name) for name, digest in wanted.items()}
    yield found
    for one in found.values():
        one.child.stop(1)


@dataclass
class SlowEngine:
    """Triton with the echo engine and a gateway before it."""

    url: str
    token_log: Path
    triton: TritonServer
    gateway: Child

    def log(self) -> list[dict[str, Any]]:
        """What the engine did: a line a token, one more for a cancelled request."""
        if not self.token_log.exists():
            return []
        return [json.loads(line) for line in self.token_log.read_text().splitlines()]


@pytest.fixture(scope="session")
@starts("triton")
def slow(model: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlowEngine]:
    """The echo engine behind a gateway with a capacity of two, so that queues form."""
    folder = tmp_path_factory.mktemp("slow")
    token_log = slow_repository(model, folder)
    server = new_server(folder)
    server.start()
    server.wait_ready(Progress("serve"))
    gateway, url = start_gateway(model, server.address, folder, max_inflight=2, max_held=2, max_new_tokens=64)
    wait_for(url, 200)
    yield SlowEngine(url, token_log, server, gateway)
    gateway.stop(5)
    server.stop()


def group_of(group: int) -> list[int]:
    """Return the processes of a group that are not yet dead."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()  # proc(5): state, ppid, pgrp
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and stat[0] not in ("Z", "X") and int(stat[2]) == group:
            found.append(int(entry.name))
    return found


def wait_for(url: str, status: int, timeout_s: float = 60.0) -> httpx.Response:
    """Poll ``/readyz`` until it answers with a status."""
    deadline = time.monotonic() + timeout_s
    last = "nothing"
    while time.monotonic() < deadline:
        try:
            response = httpx.get(f"{url}/readyz", timeout=5, trust_env=False)
        except httpx.TransportError as error:
            last = str(error)
        else:
            if response.status_code == status:
                return response
            last = response.text
        time.sleep(0.05)
    raise AssertionError(f"{url}/readyz did not answer {status}: {last}")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a real S3 server for all tests of a file."""
    with object_storage.served("models") as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield "s3://models"
