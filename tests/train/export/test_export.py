"""The exported folder is a Llama that says what our model says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import ExportArgs
from daybreak_model.llama.sizes import Dimensions
from daybreak_model.vocabulary import TextEncoder, special_ids
from daybreak_train.export import proof
from daybreak_train.export import step as export
from daybreak_train.model import Llama, ModelConfig, initialise

DIMS = Dimensions(hidden_size=64, layers=3, heads=4, key_value_heads=2, intermediate_size=96)


def trained_artifact(
    folder: Path,
    tokenizer_digest: str = "a" * 64,
    context: int = 64,
    dtype: str = "float32",
    loudness: float = 1.0,
) -> str:
    config = ModelConfig(DIMS, 512, context)
    model = Llama(config)
    initialise(model, 1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(
                3.0 if weight.ndim > 1 else 1.1
            )  # far from the start: small logits would hide mistakes
        model.embedding.weight.mul_(loudness)
    staging = folder / "staging"
    staging.mkdir()
    save_file(model.state_dict(), staging / "model.safetensors")
    objective = {"fillInTheMiddle": {"rate": "0.5", "spmShare": "0.5"}}
    described = {**config.to_json(), "objective": objective, "dtype": dtype}
    storage.write_json(str(staging / "model.json"), described)
    uri = str(folder / "trained")
    inputs = {"tokenizer": tokenizer_digest}
    artifacts.commit(uri, staging, step=names.STEP_TRAIN, digest="e" * 64, inputs=inputs, result={})
    return uri


def args(folder: Path, trained: str, tokenizer: str) -> ExportArgs:
    return ExportArgs(
        output=str(folder / "out"), work_dir=str(folder / "work"), trained=trained, tokenizer=tokenizer
    )


@pytest.fixture(scope="module")
def exported(made: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("export")
    trained = trained_artifact(folder)
    result = export.run_export(args(folder, trained, made.tokenizer), Progress("export"))
    return Path(result.uri), trained


@pytest.mark.slow
def test_logits_are_the_same(exported: tuple[Path, str]) -> None:
    folder, trained = exported
    ours, theirs = export.load_trained(trained), AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.randint(0, 512, (3, 64))
    with torch.no_grad():
        difference = (ours(ids) - theirs(ids).logits).abs().max()
    assert float(difference) <= 1e-4
    assert float(ours(ids).detach().abs().max()) > 0.5


class Skewed:
    """A model whose logits are off."""

    def __init__(self, model: Any, error: float) -> None:
        self.config, self._model, self._error = model.config, model, error

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        logits = self._model(ids).clone()
        logits[..., 0] += self._error
        return logits


@pytest.mark.slow
def test_rounding_is_allowed_in_proportion_to_the_logits(made: Any, tmp_path: Path) -> None:
    """A healthy model with logits up to 81.6 failed at 1e-4."""
    trained = trained_artifact(tmp_path, loudness=20.0)
    folder = Path(export.run_export(args(tmp_path, trained, made.tokenizer), Progress("export")).uri)
    model = export.load_trained(trained)
    assert 50 < float(model(torch.randint(0, 512, (1, 64))).detach().abs().max()) < 200
    assert export.prove(Skewed(model, 5e-4), folder)["logitsDifference"] == "5.0e-04"


@pytest.mark.slow
@pytest.mark.parametrize("error", [0.01, float("nan"), float("inf")])
def test_logits_that_are_off_or_no_numbers_do_not_get_out(exported: tuple[Path, str], error: float) -> None:
    folder, trained = exported
    with pytest.raises(RuntimeError, match="logits after export differ by"):
        export.prove(Skewed(export.load_trained(trained), error), folder)


@pytest.mark.slow
def test_what_was_trained_in_bf16_is_stored_in_bf16(made: Any, tmp_path: Path) -> None:
    trained = trained_artifact(tmp_path, dtype="bfloat16")
    folder = Path(export.run_export(args(tmp_path, trained, made.tokenizer), Progress("export")).uri)
    assert {value.dtype for value in load_file(folder / "model.safetensors").values()} == {torch.bfloat16}
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert AutoModelForCausalLM.from_pretrained(folder, dtype="auto").dtype == torch.bfloat16
    ids = torch.randint(0, 512, (1, 64))
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(ids).logits
    torch.testing.assert_close(export.load_trained(trained)(ids), theirs, rtol=1e-4, atol=1e-4)


def test_a_golden_completion_ends_before_a_token_that_rounding_may_change() -> None:
    exact = torch.tensor([[5.0, 1.0, 0.0], [0.0, 3.0, 2.9], [9.0, 0.0, 0.0]])
    rough = exact + torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, 0.0]])
    assert proof.num_clear(exact, rough) == 1
    assert proof.num_clear(exact, exact) == 3
    assert proof.num_clear(exact[1:], rough[1:]) == 1, "one token is always said"


def test_others_may_read_every_file(exported: tuple[Path, str]) -> None:
    folder, trained = exported
    probe = folder.parent / "probe"
    probe.touch()
    for file in (*folder.iterdir(), *Path(trained).iterdir()):
        assert oct(file.stat().st_mode & 0o777) == oct(probe.stat().st_mode & 0o777), file.name


@pytest.mark.slow
def test_an_earlier_tokenizer_is_exported_with_markers_that_code_cannot_spell(
    made: Any, tmp_path: Path
) -> None:
    old = {now: then for then, now in names.RESPELLED_TOKENS.items()}
    text = (Path(made.tokenizer) / "tokenizer.json").read_text()
    for now, then in old.items():
        text = text.replace(json.dumps(now), json.dumps(then))
    staging = tmp_path / "old-staging"
    staging.mkdir()
    (staging / "tokenizer.json").write_text(text)
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "additional_special_tokens": list(old.values()),
    }
    (staging / "tokenizer_config.json").write_text(json.dumps(described))
    uri, digest = str(tmp_path / "old"), "c" * 64
    artifacts.commit(uri, staging, step=names.STEP_TOKENIZER, digest=digest, inputs={}, result={})
    trained = trained_artifact(tmp_path, tokenizer_digest=digest)
    folder = Path(export.run_export(args(tmp_path, trained, uri), Progress("export")).uri)
    theirs = AutoTokenizer.from_pretrained(folder)
    assert (folder / "tokenizer.json").read_text() != text
    code = "board[X] = 1; Map<KEY>; a[R][S]"
    assert theirs.decode(theirs(code)["input_ids"], skip_special_tokens=True) == code
    assert theirs(code)["input_ids"] == TextEncoder(text).encode(code)
    assert special_ids(text) == special_ids((folder / "tokenizer.json").read_text())


@pytest.mark.slow
def test_greedy_tokens_are_the_same_and_golden(exported: tuple[Path, str]) -> None:
    folder, _ = exported
    golden = json.loads((folder / "golden.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder)
    prompt = torch.tensor([golden["promptTokens"]])
    count = len(golden["tokens"])
    out = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=count,
        min_new_tokens=count,
        do_sample=False,
    )
    blocked = {0, 4}  # generate() may not end early here, so it can't say these two
    if blocked.isdisjoint(golden["tokens"]):
        assert out[0, prompt.shape[1] :].tolist() == golden["tokens"]
    assert count >= 16


def test_the_folder_is_complete(exported: tuple[Path, str]) -> None:
    folder, _ = exported
    present = {path.name for path in folder.iterdir()}
    assert present >= {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "golden.json",
    }
    config = json.loads((folder / "config.json").read_text())
    assert (config["architectures"], config["tie_word_embeddings"]) == (["LlamaForCausalLM"], True)
    assert config["daybreak_objective"] == "fillInTheMiddle"
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    assert AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(names.FIM_PREFIX) == 1


@pytest.mark.slow
def test_the_same_weights_are_the_same_bytes_and_not_written_again(
    exported: tuple[Path, str], made: Any, tmp_path: Path
) -> None:
    folder, trained = exported
    again = export.run_export(args(tmp_path, trained, made.tokenizer), Progress("export"))
    first, second = artifacts.load(str(folder)), artifacts.load(again.uri)
    assert first.content_digest == second.content_digest
    assert export.run_export(args(tmp_path, trained, made.tokenizer), Progress("export")).cached


def test_another_tokenizer_is_refused(made: Any, tmp_path: Path) -> None:
    trained = trained_artifact(tmp_path, tokenizer_digest="f" * 64)
    with pytest.raises(UserError, match="was trained with another tokenizer"):
        export.run_export(args(tmp_path, trained, made.tokenizer), Progress("export"))


def test_changed_weights_are_refused(made: Any, tmp_path: Path) -> None:
    trained = trained_artifact(tmp_path)
    file = Path(trained) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(ArtifactError, match="was changed after it was committed"):
        export.run_export(args(tmp_path, trained, made.tokenizer), Progress("export"))
    assert not list(tmp_path.glob("out/export/*"))


def test_a_wrong_mapping_does_not_get_out(made: Any, exported: tuple[Path, str], tmp_path: Path) -> None:
    folder, trained = exported
    storage.copy_tree(str(folder), str(tmp_path))
    weights = load_file(tmp_path / "model.safetensors")
    name = "model.layers.1.mlp.gate_proj.weight"
    other = name.replace("gate", "up")
    weights[name], weights[other] = weights[other].clone(), weights[name].clone()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match="logits after export differ"):
        export.prove(export.load_trained(trained), tmp_path)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        pytest.param({"objective": {"fillInTheMiddle": {"rate": "0.5"}}}, "fillInTheMiddle", id="fills-gaps"),
        pytest.param(
            {"objective": {"fillInTheMiddle": {"rate": "0"}}}, "nextToken", id="never-did-at-rate-zero"
        ),
        pytest.param({"objective": {"nextToken": {}}}, "nextToken", id="left-to-right"),
        pytest.param({"objective": {"ul2": {"modeTokens": True}}}, "ul2", id="denoises"),
    ],
)
def test_the_objective_is_told(described: dict[str, Any], expected: str, tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "model.json"), described)
    assert export.objective_of(str(tmp_path)) == expected


def test_a_weight_that_is_not_finite_is_refused_by_name(made: Any, tmp_path: Path) -> None:
    trained = trained_artifact(tmp_path)
    file = Path(trained) / "model.safetensors"
    weights = load_file(file)
    weights[sorted(weights)[1]][0] = float("nan")
    other = tmp_path / "other"
    other.mkdir()
    save_file(weights, other / "model.safetensors")
    (other / "model.json").write_bytes((Path(trained) / "model.json").read_bytes())
    uri = str(tmp_path / "nan")
    inputs = {"tokenizer": "a" * 64}
    artifacts.commit(uri, other, step=names.STEP_TRAIN, digest="f" * 64, inputs=inputs, result={})
    with pytest.raises(UserError, match=f"{sorted(weights)[1]} holds values that are not finite"):
        export.run_export(args(tmp_path, uri, made.tokenizer), Progress("export"))
    assert not list((tmp_path / "out").rglob("manifest.json"))
