"""A small tokenizer and a small shard artifact, made the way the data steps make theirs."""

from __future__ import annotations

import atexit
import gc
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from daybreak_contracts import artifacts, names
from daybreak_contracts.ports import free_port
from daybreak_contracts.resources.run import CustomModel, Model, Objective, Training
from daybreak_contracts.steps import CalibrateArgs, ShardResult, StepArgs, TokenizerResult, TrainArgs
from tests.plugins.needs import starts

CONTEXT = 64
SCHEDULE = {"peakRate": "0.004", "warmupTokens": 3277, "batchTokens": 4096}
"""Said and not left to the defaults: golden curves must not hang on those."""
TINY = CustomModel(hidden_size=32, layers=2, heads=2, key_value_heads=1, intermediate_size=64)


WORDS = [
    "count",
    "total",
    "index",
    "value",
    "name",
    "path",
    "line",
    "text",
    "first",
    "last",
    "item",
    "node",
    "size",
    "left",
    "right",
    "key",
    "size",
    "step",
]
SHAPES = (
    'def {0}_{1}({2}, {3}={4}):\n    """Return the {0} of {2}."""\n    return {2} + {3} * {4}\n\n\n',
    "class {0}{1}:\n    def __init__(self, {2}):\n        self.{2} = {2} or {4}\n\n\n",
    "for {0} in range({4}):\n    if {0} > {1}:\n        print({0}, '{2} – {3}')\n\n",
    "{0} = {{'{1}': {4}, '{2}': [{3}, {0}]}}\nassert {0}['{1}'] == {4}\n\n",
)


def some_code() -> list[str]:
    """Return made-up source files, always the same ones: golden values hang on them."""
    draw = random.Random(0)
    return ["".join(_piece(draw) for _ in range(draw.randint(5, 60))) for _ in range(60)]


def _piece(draw: random.Random) -> str:
    words = [WORDS[int(draw.random() * len(WORDS))] for _ in range(4)]
    return SHAPES[int(draw.random() * len(SHAPES))].format(*words, int(draw.random() * 100))


def make_tokenizer(vocabulary_size: int = 512) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(some_code(), trainer)
    return tokenizer


def make_tokenizer_artifact(folder: Path, tokenizer: Tokenizer) -> str:
    staging = folder / "tokenizer-staging"
    staging.mkdir(parents=True)
    tokenizer.save(str(staging / "tokenizer.json"))
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": names.END_OF_TEXT}
    (staging / "tokenizer_config.json").write_text(json.dumps(described))
    uri, digest = str(folder / "tokenizer"), "a" * 64
    result = TokenizerResult(
        uri=uri, digest=digest, vocabulary_size=tokenizer.get_vocab_size(), bytes_per_token={}
    )
    artifacts.commit(
        uri,
        staging,
        step=names.STEP_TOKENIZER,
        digest=digest,
        inputs={},
        result=result.model_dump(mode="json"),
    )
    return uri


def make_shards_artifact(folder: Path, tokenizer: Tokenizer, context: int = CONTEXT) -> str:
    from daybreak_train.lean_imports import import_streaming

    staging = folder / "shards-staging"
    end = tokenizer.token_to_id(names.END_OF_TEXT)
    documents = [[*tokenizer.encode(text).ids, end] for text in some_code()]
    tokens = [token for document in documents for token in document]
    count = len(tokens) // context
    rows = np.array(tokens[: count * context], dtype=np.uint16).reshape(count, context)
    rows = np.concatenate(
        [rows, np.full((1, context), tokenizer.token_to_id(names.FIM_PAD), dtype=np.uint16)]
    )
    rows[-1, :5] = tokens[-5:]
    parts = {"train": rows[16:], "held_out": rows[:16]}
    for name, part in parts.items():
        columns = {"tokens": "ndarray:uint16"}
        with import_streaming().MDSWriter(
            out=str(staging / name), columns=columns, size_limit=1 << 14
        ) as writer:
            for row in part:
                writer.write({"tokens": row})
    lengths = [len(document) for document in documents]
    write_document_index(staging, lengths, held_out=16 * context, train=rows[16:].size, context=context)
    uri, digest = str(folder / "shards"), "b" * 64
    result = ShardResult(
        uri=uri,
        digest=digest,
        dtype="uint16",
        num_train_tokens=parts["train"].size,
        num_held_out_tokens=parts["held_out"].size,
        num_train_samples=len(parts["train"]),
        num_held_out_samples=len(parts["held_out"]),
    )
    artifacts.commit(
        uri, staging, step=names.STEP_SHARDS, digest=digest, inputs={}, result=result.model_dump(mode="json")
    )
    return uri


def write_document_index(
    staging: Path, lengths: list[int], *, held_out: int, train: int, context: int
) -> None:
    """Say which document each token came from, as the shards step does: one partition a side."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    described: dict[str, Any] = {"contextLength": context}
    for side, low, size in (("held_out", 0, held_out), ("train", held_out, train)):
        rows, start = [], 0
        for number, length in enumerate(lengths):
            first, end = max(start, low) - low, min(start + length, low + size) - low
            start += length
            if end > first:
                provenance = {"path_id": number, "source": "made", "repository": f"repository-{number % 7}"}
                provenance |= {"path": f"src/file_{number}.py", "language": "python", "licence": "MIT"}
                rows.append({**provenance, "first_token": first, "num_tokens": end - first})
        folder = staging / side / "part-00000"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "documents.parquet")
        told = {"partition": "part-00000", "samples": size // context, "tokens": size}
        described[side] = [told]
    (staging / "documents.json").write_text(json.dumps(described))


@dataclass(frozen=True)
class Made:
    """Inputs of a training."""

    tokenizer: str
    shards: str

    def args(self, folder: Path, *, tokens: int = 64 * 64 * 12, **changes: Any) -> TrainArgs:
        """Arguments of a training of some steps on a tiny model; ``training`` overrides parts of Training."""
        training = {
            "context_length": CONTEXT,
            "tokens": tokens,
            "schedule": SCHEDULE,
            **changes.pop("training", {}),
        }
        defaults: dict[str, Any] = {
            "output": str(folder / "out"),
            "work_dir": str(folder / "work"),
            "shards": self.shards,
            "tokenizer": self.tokenizer,
            "model": Model(custom=TINY),
            "training": Training(**training),
            "run_name": "test",
            "seed": 3,
            "cores": 1,
        }
        return TrainArgs(**{**defaults, **changes})


@pytest.fixture(autouse=True)
def shared_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what a test's data sets opened: Streaming does so when the process ends.

    Each data set opens the blocks of all before it: after a few dozen tests the process held 17,000 descriptors.
    """
    ends: list[Callable[[], None]] = []
    register = atexit.register

    def noted(function: Any, *args: Any, **named: Any) -> Any:
        if type(getattr(function, "__self__", None)).__module__ == "streaming.base.shared.memory":
            ends.append(function)
        return register(function, *args, **named)

    monkeypatch.setattr(atexit, "register", noted)
    yield
    if ends:
        gc.collect()  # no array looks into a block any more
    for end in ends:
        end()
        atexit.unregister(end)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return make_tokenizer()


def make_inputs(folder: Path) -> Made:
    """Tokenizer and shards of the made-up code."""
    fresh = make_tokenizer()
    return Made(make_tokenizer_artifact(folder, fresh), make_shards_artifact(folder, fresh))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@dataclass
class Started:
    """A training process of the zygote."""

    pid: int
    result: Path
    log: Path
    _zygote: Zygote

    def wait(self) -> int:
        """Return its exit code; negative for a signal."""
        return self._zygote.ask({"wait": self.pid})["code"]

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)

    @property
    def has_ended(self) -> bool:
        """Whether it is a zombie, or not even that."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
        except OSError:
            return True

    def outcome(self) -> dict[str, Any]:
        """Return result or error, as the launcher reads it."""
        return json.loads(self.result.read_text())


def until(condition: Callable[[], bool], members: Sequence[Started] = (), seconds: float = 300.0) -> None:
    """Wait until something is true; of trainings that end before, the logs are told."""
    deadline = time.monotonic() + seconds
    while not condition():
        ended = [member for member in members if member.has_ended]
        if ended and not condition():
            raise AssertionError(
                "ended too early: " + "".join(each.log.read_text()[-4000:] for each in ended)
            )
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


class Zygote:
    """Starts trainings by fork."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("zygote.py")
        command = [sys.executable, str(script)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def start(
        self,
        args: StepArgs,
        folder: Path,
        step_s: float = 0.0,
        shard_from: int | None = None,
        **environ: str,
    ) -> Started:
        folder.mkdir(parents=True, exist_ok=True)
        rank = environ.get("RANK", "0")
        file, result, log = folder / f"args-{rank}.json", folder / "result.json", folder / f"log-{rank}.txt"
        file.write_text(args.model_dump_json())
        step = "calibrate" if isinstance(args, CalibrateArgs) else names.STEP_TRAIN
        argv = [step, "--args-file", str(file), "--result", str(result)]
        how = {"step_s": step_s, "shard_from": shard_from}
        answer = self.ask({"start": {"argv": argv, "environ": environ, "stderr": str(log), **how}})
        return Started(answer["pid"], result, log, self)

    def run(self, args: StepArgs, folder: Path, **environ: str) -> dict[str, Any]:
        """Train (or calibrate) to the end in one process and return the result."""
        started = self.start(args, folder, **environ)
        code = started.wait()
        assert code == 0, started.log.read_text()
        return started.outcome()["result"]

    def start_group(
        self,
        args: TrainArgs,
        folder: Path,
        world_size: int,
        step_s: float = 0.0,
        shard_from: int | None = None,
        **environ: str,
    ) -> list[Started]:
        port = free_port()
        common = {"WORLD_SIZE": str(world_size), "LOCAL_WORLD_SIZE": str(world_size)}
        common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **environ}
        return [
            self.start(args, folder, step_s, shard_from, RANK=str(rank), LOCAL_RANK=str(rank), **common)
            for rank in range(world_size)
        ]

    def run_group(
        self, args: TrainArgs, folder: Path, world_size: int, shard_from: int | None = None, **environ: str
    ) -> dict[str, Any]:
        """Train to the end in several processes and return the result."""
        group = self.start_group(args, folder, world_size, 0.0, shard_from, **environ)
        codes = [member.wait() for member in group]
        assert codes == [0] * world_size, "".join(member.log.read_text()[-4000:] for member in group)
        return group[0].outcome()["result"]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the zygote is gone"
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
@starts("torchrun")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


def ledger_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the ledger of a result, without what was measured by a clock."""
    lines = (Path(result["uri"]) / "ledger.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "tokens_per_second"} for line in lines]


@pytest.fixture(scope="session")
def middle() -> Objective:
    return Objective.model_validate({"fillInTheMiddle": {"rate": "0.5", "spmShare": "0.5"}})


@pytest.fixture(scope="session")
def ledger() -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    return ledger_of


@pytest.fixture
def bucket(bucket: str) -> str:
    """A folder in a bucket of a real S3 server."""
    return f"{bucket}/checkpoints"
