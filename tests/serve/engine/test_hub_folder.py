"""Folders as a model hub has them: what of them is served, how their prompts begin and end, what is refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_model.fim import PromptEncoder
from daybreak_model.repository_context import ContextFile, Surroundings
from daybreak_serve.engine.installation import Kind
from daybreak_serve.engine.repository import EngineSettings, build_repository, refuse_unknown
from daybreak_serve.modelfolder import ModelFolder, open_fetched, open_model
from daybreak_serve.pod.fetch import FetchArgs, fetch
from tests.serve.conftest import TEXTS
from tests.serve.families import BASE_FAMILIES, LETTERS, Reference, changed, write_base

MARKED = "x = '<|fim_prefix|><fim_suffix><｜fim▁hole｜><|im_end|><|endoftext|></s>' # schön"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp("base") for name in BASE_FAMILIES}
    for name, folder in found.items():
        write_base(folder, BASE_FAMILIES[name])
    return found


@pytest.fixture
def copy(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A StarCoder2 that a test may change."""
    return Path(shutil.copytree(folders["StarCoder2"], tmp_path / "starcoder2"))


def encoder_of(model: ModelFolder) -> PromptEncoder:
    text = (model.path / "tokenizer.json").read_text(encoding="utf-8")
    return PromptEncoder(text, model.fim, model.layout, model.openings)


@pytest.mark.slow
@pytest.mark.parametrize("name", BASE_FAMILIES)
def test_prompts_are_those_of_transformers(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    family, reference = BASE_FAMILIES[name], Reference.of(folders[name])
    encoder = encoder_of(open_model(str(folders[name]), tmp_path))
    for text in (*TEXTS, "schön über Öl õ\n", "café", "    if x:\n\n\ty"):
        assert list(encoder.compose(text, None, 200).token_ids) == reference.tokenizer(text)["input_ids"]
    if family.marks[0]:
        prefix, suffix, middle = family.marks
        composed = f"{prefix}{TEXTS[0]}{suffix}{TEXTS[3]}{middle}"
        found = encoder.compose(TEXTS[0], TEXTS[3], 200)
        assert list(found.token_ids) == reference.tokenizer(composed)["input_ids"]


LAID_OUT = {
    "Qwen2.5-Coder": (
        "<|repo_name|>o/r\n<|file_sep|>a.py\nx = 1\n<|file_sep|>b.py\ny = 2\n<|file_sep|>c.py\n"
        "<|fim_prefix|>def f(<|fim_suffix|>):\n<|fim_middle|>"
    ),
    "StarCoder2": (
        "<repo_name>o/r<file_sep>a.py\nx = 1\n<file_sep>b.py\ny = 2<file_sep>"
        "<fim_prefix>c.py\ndef f(<fim_suffix>):\n<fim_middle>"
    ),
}
"""As their reports have it."""


@pytest.mark.parametrize("name", LAID_OUT)
def test_a_repository_is_laid_out_in_the_familys_own_way(
    folders: dict[str, Path], name: str, tmp_path: Path
) -> None:
    model, tokenizer = open_model(str(folders[name]), tmp_path), Reference.of(folders[name]).tokenizer
    around = Surroundings((ContextFile("a.py", "x = 1\n"), ContextFile("b.py", "y = 2")), "c.py", "o/r")
    found = encoder_of(model).compose("def f(", "):\n", 200, around)
    assert tokenizer.decode(found.token_ids) == LAID_OUT[name]
    assert found.num_files == 2
    alone = encoder_of(model).compose("def f(", None, 200, around)
    assert tokenizer.decode(alone.token_ids).endswith("c.py\ndef f(")
    assert model.layout == "Repository"


def test_a_family_without_such_a_layout_leaves_files_out(folders: dict[str, Path], tmp_path: Path) -> None:
    for name in ("DeepSeek-Coder", "Granite Code", "Qwen2 with windows"):
        assert open_model(str(folders[name]), tmp_path).layout == "File"


@pytest.mark.parametrize("name", BASE_FAMILIES)
def test_marks_in_a_text_are_text(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    model, tokenizer = open_model(str(folders[name]), tmp_path), Reference.of(folders[name]).tokenizer
    ids = encoder_of(model).compose(MARKED, None, 200).token_ids[len(model.openings.begin) :]
    added = set(tokenizer.added_tokens_decoder) - {tokenizer.convert_tokens_to_ids(one) for one in LETTERS}
    assert not set(ids) & added
    assert tokenizer.decode(ids, skip_special_tokens=False) in (MARKED, MARKED.replace("ö", "\ufffd"))


@pytest.mark.parametrize("name", BASE_FAMILIES)
def test_a_text_ends_with_every_end_and_mark(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    model, tokenizer = open_model(str(folders[name]), tmp_path), Reference.of(folders[name]).tokenizer
    family = BASE_FAMILIES[name]
    for mark in (*family.ends, *filter(None, family.marks)):
        assert tokenizer.convert_tokens_to_ids(mark) in model.end_ids
    assert model.fim == ("PSM" if family.marks[0] else "None")


def test_an_empty_prompt_is_the_first_token(folders: dict[str, Path], tmp_path: Path) -> None:
    for name, token in {"DeepSeek-Coder": "<｜begin▁of▁sentence｜>", "StarCoder2": "<|endoftext|>"}.items():
        model, tokenizer = open_model(str(folders[name]), tmp_path), Reference.of(folders[name]).tokenizer
        assert encoder_of(model).compose("", None, 100).token_ids == (tokenizer.convert_tokens_to_ids(token),)


def test_a_prompt_keeps_its_first_token_when_it_is_cut(folders: dict[str, Path], tmp_path: Path) -> None:
    model = open_model(str(folders["DeepSeek-Coder"]), tmp_path)
    found = encoder_of(model).compose(TEXTS[1] * 9, TEXTS[0] * 9, 40)
    assert (len(found.token_ids), found.token_ids[0]) == (40, model.openings.begin[0])


def test_only_what_is_served_is_taken_also_from_a_hubs_cache_of_links(copy: Path, tmp_path: Path) -> None:
    blobs = copy.with_name("blobs")
    copy.rename(blobs)
    copy.mkdir()
    for file in blobs.iterdir():
        (copy / file.name).symlink_to(file)
    for name in ("pytorch_model.bin", "modeling_other.py"):
        (copy / name).write_bytes(b"x")
    (copy / ".git").mkdir()
    model = open_model(str(copy), tmp_path)
    assert {"README.md", "pytorch_model.bin", "modeling_other.py"} & set(model.files) == set()
    repository = build_repository(model, tmp_path / "repository")
    assert (repository / "completion/1/model/tokenizer.json").read_bytes() == (
        copy / "tokenizer.json"
    ).read_bytes()


def test_it_is_fetched_by_the_digest_of_its_bytes(copy: Path, tmp_path: Path) -> None:
    digest = open_model(str(copy), tmp_path).digest
    quiet = Progress("fetch", stream=io.StringIO())
    args = FetchArgs(str(copy), f"sha256:{digest}", tmp_path / "there/model")
    assert fetch(args, quiet).digest == digest
    model, manifest = open_fetched(args.into)
    assert (model.digest, manifest.content_digest, model.fim) == (digest, digest, "PSM")
    assert fetch(args, quiet) == manifest  # a pod that starts again
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    other = FetchArgs(str(copy), digest, tmp_path / "elsewhere/model")
    with pytest.raises(UserError, match="was asked for"):
        fetch(other, quiet)
    assert list(other.into.parent.iterdir()) == []


def only(*names: str) -> Callable[[Path], object]:
    """Leave these files alone."""

    def change(folder: Path) -> None:
        for path in folder.iterdir():
            path.unlink()
        for name in names:
            (folder / name).write_text("{}")

    return change


def with_config(**values: object) -> Callable[[Path], object]:
    return lambda folder: changed(folder, "config.json", lambda config: config.update(values))


def without(key: str) -> Callable[[Path], object]:
    return lambda folder: changed(folder, "config.json", lambda config: config.pop(key))


def as_sentencepiece(folder: Path) -> None:
    changed(
        folder, "tokenizer.json", lambda found: found.update(decoder={"type": "Sequence", "decoders": []})
    )


def cut_a_shard(folder: Path) -> None:
    shard = sorted(folder.glob("model-*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-10])


def lose_a_shard(folder: Path) -> None:
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def only_pickles(folder: Path) -> None:
    for shard in folder.glob("model*"):
        shard.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            with_config(architectures=["MambaForCausalLM"]), "Mamba.*TritonVLLM", id="another family"
        ),
        pytest.param(with_config(architectures=["T5Model"]), "writes text", id="no decoder"),
        pytest.param(
            with_config(auto_map={"AutoModelForCausalLM": "m.M"}), "code of its own", id="remote code"
        ),
        pytest.param(with_config(quantization_config={"quant_method": "awq"}), "awq", id="quantized"),
        pytest.param(only("model.Q4_K_M.gguf"), "GGUF.*safetensors", id="GGUF"),
        pytest.param(only("config.json", "model.Q4_K_M.gguf"), "GGUF.*safetensors", id="GGUF with a config"),
        pytest.param(
            only("adapter_config.json", "adapter_model.safetensors"), "LoRA.*merge", id="an adapter"
        ),
        pytest.param(only_pickles, "may run code", id="pickles alone"),
        pytest.param(
            lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json missing", id="no tokenizer.json"
        ),
        pytest.param(as_sentencepiece, "SentencePiece", id="not byte-level"),
        pytest.param(lose_a_shard, "which model.safetensors.index.json lists", id="a missing shard"),
        pytest.param(cut_a_shard, "no whole safetensors file", id="a torn shard"),
        pytest.param(
            with_config(num_hidden_layers=9), "no weights of the name", id="fewer layers than it says"
        ),
    ],
)
def test_what_cannot_be_served_is_one_sentence_before_anything_starts(
    copy: Path, tmp_path: Path, change: Callable[[Path], object], reason: str
) -> None:
    change(copy)
    with pytest.raises(UserError, match=reason) as caught:
        build_repository(open_model(str(copy), tmp_path), tmp_path / "repository")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("kind", ["TritonPython", "TritonVLLM"])
def test_vllm_takes_what_our_own_engine_does_not_compute(copy: Path, tmp_path: Path, kind: Kind) -> None:
    with_config(architectures=["Qwen3ForCausalLM"])(copy)
    model = open_model(str(copy), tmp_path)
    if kind == "TritonVLLM":
        build_repository(model, tmp_path / "repository", EngineSettings(kind=kind))
    else:
        with pytest.raises(UserError, match="Qwen3"):
            refuse_unknown(model, kind)


def test_a_tokenizer_that_says_its_first_token_by_its_config_alone(copy: Path, tmp_path: Path) -> None:
    changed(copy, "tokenizer.json", lambda found: found.update(post_processor=None))
    said = {"add_bos_token": True, "bos_token": {"content": "<|endoftext|>"}}
    changed(copy, "tokenizer_config.json", lambda found: found.update(said))
    assert open_model(str(copy), tmp_path).openings.begin == (0,)


def test_an_index_that_leads_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    index = {"weight_map": {"model.embed_tokens.weight": "../elsewhere.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"elsewhere\.safetensors missing"):
        open_model(str(copy), tmp_path)
