"""Model folders and the repositories made from them: golden texts, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from daybreak_contracts import artifacts, names
from daybreak_contracts.errors import UserError
from daybreak_serve.engine.installation import Kind
from daybreak_serve.engine.repository import EngineSettings, build_repository, texts
from daybreak_serve.modelfolder import ModelFolder, end_ids, open_model

PYTHON_CONFIG = """\
name: "completion"
backend: "python"
max_batch_size: 0
model_transaction_policy { decoupled: true }
input [
  { name: "prompt_ids" data_type: TYPE_INT32 dims: [ -1 ] },
  { name: "options" data_type: TYPE_STRING dims: [ 1 ] }
]
output [
  { name: "chunk" data_type: TYPE_STRING dims: [ 1 ] }
]
instance_group [ { kind: KIND_CPU count: 1 } ]
parameters { key: "model_folder" value { string_value: "model" } }
parameters { key: "end_ids" value { string_value: "0" } }
parameters { key: "num_threads" value { string_value: "2" } }
parameters { key: "max_running" value { string_value: "8" } }
parameters { key: "prompt_piece" value { string_value: "256" } }
parameters { key: "kept_caches" value { string_value: "4" } }
"""
VLLM_PARAMETERS = """\
parameters { key: "context_length" value { string_value: "256" } }
parameters { key: "vocabulary_size" value { string_value: "460" } }
parameters { key: "rope_theta" value { string_value: "10000.0" } }
parameters { key: "cpu_cache_gib" value { string_value: "1" } }
"""


def test_the_python_repository_has_its_golden_texts(model: ModelFolder) -> None:
    found = texts(model, EngineSettings(num_threads=2))
    assert found["config.pbtxt"] == PYTHON_CONFIG
    assert set(found) == {"config.pbtxt", "1/model.py"}
    assert "from daybreak_serve.engine.backend import TritonPythonModel" in found["1/model.py"]


def test_the_vllm_repository_has_its_golden_texts(model: ModelFolder) -> None:
    found = texts(model, EngineSettings(kind="TritonVLLM", num_threads=2))
    common = PYTHON_CONFIG.rpartition("parameters")[0]  # all but the kept caches
    assert found["config.pbtxt"] == common + VLLM_PARAMETERS
    assert set(found) == {"config.pbtxt", "1/model.py"}
    assert "from daybreak_serve.engine.vllm.backend import TritonVLLMModel" in found["1/model.py"]


@pytest.mark.parametrize("kind", names.RUNTIMES)
def test_a_config_is_what_triton_itself_can_read(model: ModelFolder, kind: Kind) -> None:
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    text = texts(model, EngineSettings(kind=kind))["config.pbtxt"]
    found = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (found.backend, found.model_transaction_policy.decoupled) == ("python", True)


def test_another_runtime_is_refused(model: ModelFolder) -> None:
    with pytest.raises(UserError, match="TritonTRTLLM"):
        texts(model, EngineSettings(kind="TritonTRTLLM"))  # type: ignore[arg-type]


def test_a_repository_takes_only_what_the_manifest_lists(model: ModelFolder, tmp_path: Path) -> None:
    (model.path / "stray.py").write_text("raise SystemExit")
    repository = build_repository(model, tmp_path / "repository")
    (model.path / "stray.py").unlink()
    found = {path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_file()}
    assert found == {
        "completion/config.pbtxt",
        "completion/1/model.py",
        *(f"completion/1/model/{name}" for name in model.files),
    }


def test_a_repository_replaces_an_older_one_and_leaves_nothing_beside_it(
    model: ModelFolder, tmp_path: Path
) -> None:
    (tmp_path / "repository/old").mkdir(parents=True)
    build_repository(model, tmp_path / "repository", EngineSettings(kind="TritonVLLM"))
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
    assert [path.name for path in (tmp_path / "repository").iterdir()] == ["completion"]


def test_a_model_tells_what_serving_must_know(model: ModelFolder) -> None:
    assert (model.context_length, model.end_ids, model.fim) == (256, frozenset({0}), "PSM")
    assert model.golden is not None
    assert len(model.golden.token_ids) == 8


@pytest.fixture
def copy(model_uri: str, tmp_path: Path) -> Callable[[Callable[[Path], object]], str]:
    """Commit a changed copy of the model and return its URI."""

    def make(change: Callable[[Path], object]) -> str:
        staging = tmp_path / "staging"
        shutil.copytree(model_uri, staging)
        change(staging)
        target = str(tmp_path / "changed")
        artifacts.commit(target, staging, step="export", digest="cd" * 32, inputs={}, result={})
        return target

    return make


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda f: (f / "pytorch_model.bin").write_bytes(b"x"), "may run code", id="a pickle"),
        pytest.param(lambda f: (f / "EXTRA.PT").write_bytes(b"x"), "may run code", id="a pickle in capitals"),
        pytest.param(lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json missing", id="no tokenizer"),
        pytest.param(
            lambda f: (f / "config.json").write_text('{"architectures": ["Other"]}'),
            "Other",
            id="another model",
        ),
        pytest.param(
            lambda f: (f / "golden.json").write_text("[]"), "golden.json", id="no golden completion"
        ),
        pytest.param(lambda f: (f / "config.json").write_text("{"), "not valid JSON", id="a torn config"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused(
    copy: Callable[[Callable[[Path], object]], str],
    tmp_path: Path,
    change: Callable[[Path], object],
    reason: str,
) -> None:
    with pytest.raises(UserError, match=reason):
        open_model(copy(change), tmp_path / "cache")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_tampered_model_is_refused(
    copy: Callable[[Callable[[Path], object]], str], tmp_path: Path, name: str
) -> None:
    uri = copy(lambda folder: None)
    data = bytearray((Path(uri) / name).read_bytes())
    data[len(data) // 2] ^= 1
    (Path(uri) / name).write_bytes(data)
    with pytest.raises(UserError, match="changed after it was committed"):
        open_model(uri, tmp_path / "cache")


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        open_model(str(tmp_path / "nowhere"), tmp_path)


@pytest.mark.parametrize(
    ("config", "generation", "expected"),
    [
        pytest.param({"eos_token_id": 5}, {}, {5}, id="of the model"),
        pytest.param({"eos_token_id": 5}, {"eos_token_id": [1, 2]}, {1, 2}, id="of the generation config"),
        pytest.param({}, {}, set(), id="none"),
    ],
)
def test_the_end_tokens_are_found(
    config: dict[str, object], generation: dict[str, object], expected: set[int]
) -> None:
    assert end_ids(config, generation) == expected


def test_a_model_without_golden_completion_can_be_built(model: ModelFolder, tmp_path: Path) -> None:
    bare = replace(model, golden=None)
    assert build_repository(bare, tmp_path / "repository").is_dir()
