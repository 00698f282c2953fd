"""Base models of other families as a hub's folder has them, small and with random weights.

Configs are transformers' own classes; special tokens, their flags and their order are those of the families' published
tokenizers. Weights are bfloat16 in several files with an index.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.serve.conftest import CONTEXT_LENGTH, TEXTS

PLAIN = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "initializer_range": 0.3}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT_LENGTH}
SHAPE = {**PLAIN, **HEADS}
LETTERS = ("õ", "ö", "ü")
"""What DeepSeek-Coder has as added tokens."""
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class BaseFamily:
    """What a small model of a family is made of."""

    architecture: str
    marks: tuple[str, str, str]
    """Prefix, suffix, middle."""
    special: Sequence[str]
    """Special tokens, in their order."""
    ends: Sequence[str]
    config: Mapping[str, Any]
    are_first: bool = False
    """Whether special tokens have the lowest ids, as StarCoder's, or those behind the vocabulary."""
    as_text: Sequence[str] = ()
    """Added tokens that are not flagged as special, behind the others."""
    begin: str = ""
    """What the tokenizer puts before a text."""
    chat: str = ""
    """Its chat template."""
    generation: Mapping[str, Any] = field(default_factory=dict)


BASE_FAMILIES = {
    "Qwen2.5-Coder": BaseFamily(
        architecture="Qwen2",
        marks=("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        as_text=(
            "<tool_call>",
            "</tool_call>",
            "<|fim_prefix|>",
            "<|fim_middle|>",
            "<|fim_suffix|>",
            "<|fim_pad|>",
            "<|repo_name|>",
            "<|file_sep|>",
        ),
        ends=("<|im_end|>", "<|endoftext|>"),
        config={"tie_word_embeddings": True, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0},
        chat=(
            "{% for message in messages %}"
            "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
        ),
        generation={"repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "do_sample": True},
    ),
    "Qwen2 with windows": BaseFamily(
        architecture="Qwen2",
        marks=("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        as_text=("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
        ends=("<|endoftext|>",),
        config={
            "tie_word_embeddings": False,
            "use_sliding_window": True,
            "sliding_window": 20,
            "max_window_layers": 1,
        },
    ),
    "Qwen2.5 stretched by YaRN": BaseFamily(
        architecture="Qwen2",
        marks=("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        as_text=("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
        ends=("<|endoftext|>",),
        config={
            "rope_theta": 1_000_000.0,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        },
    ),
    "StarCoder2": BaseFamily(
        architecture="Starcoder2",
        marks=("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        special=(
            "<|endoftext|>",
            "<fim_prefix>",
            "<fim_middle>",
            "<fim_suffix>",
            "<fim_pad>",
            "<repo_name>",
            "<file_sep>",
        ),
        are_first=True,
        ends=("<|endoftext|>",),
        config={"use_bias": True, "sliding_window": 24, "rope_theta": 999999.4420358813},
    ),
    "DeepSeek-Coder": BaseFamily(
        architecture="Llama",
        marks=("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
        special=("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        as_text=(
            "<｜fim▁hole｜>",
            "<｜fim▁begin｜>",
            "<｜fim▁end｜>",
            "<|User|>",
            "<|Assistant|>",
            "<|EOT|>",
        ),
        ends=("<｜end▁of▁sentence｜>",),
        begin="<｜begin▁of▁sentence｜>",
        config={"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 100_000.0},
    ),
    "Granite Code": BaseFamily(
        architecture="Llama",
        marks=("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        special=("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>"),
        are_first=True,
        ends=("<|endoftext|>",),
        config={"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True, "rope_theta": 1e7},
    ),
    "Llama 3": BaseFamily(
        architecture="Llama",
        marks=("", "", ""),
        special=("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
        ends=("<|end_of_text|>", "<|eot_id|>"),
        begin="<|begin_of_text|>",
        config={
            "rope_theta": 500_000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
    ),
}


def write_base(folder: Path, family: BaseFamily, seed: int = 11, **changes: Any) -> None:
    """Write a model of a family by ``save_pretrained``, as a hub's folder looks."""
    import torch
    import transformers

    tokenizer = write_base_tokenizer(folder, family)
    ids = tokenizer.get_vocab()
    ends = [ids[end] for end in family.ends]
    special = {"eos_token_id": ends[0], "bos_token_id": ids[family.begin] if family.begin else ends[0]}
    config_class = getattr(transformers, f"{family.architecture}Config")
    config = config_class(vocab_size=len(ids) + 3, **{**SHAPE, **family.config, **special, **changes})
    torch.manual_seed(seed)
    model = getattr(transformers, f"{family.architecture}ForCausalLM")(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:  # norms and biases are born as ones and zeros
                parameter.add_(torch.randn_like(parameter) * 0.2)
            del name
    end = {"eos_token_id": ends if len(ends) > 1 else ends[0], "bos_token_id": special["bos_token_id"]}
    model.generation_config = transformers.GenerationConfig(**end, **family.generation)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="60KB")
    (folder / "README.md").write_text("# A base model\n")


def write_base_tokenizer(folder: Path, family: BaseFamily) -> Any:
    """Train a byte-level tokenizer with a family's special tokens, and save it as transformers does."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if family.architecture == "Qwen2":
        tokenizer.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(_regex(QWEN_PATTERN), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    tokenizer.decoder = decoders.ByteLevel()
    added = [AddedToken(token, special=True, normalized=False) for token in family.special]
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=added if family.are_first else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    if family.begin == "<｜begin▁of▁sentence｜>":  # letters as added tokens, before the marks
        tokenizer.add_tokens([AddedToken(letter, normalized=True) for letter in LETTERS])
    tokenizer.add_special_tokens(added)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in family.as_text])
    if family.begin:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{family.begin} $A", special_tokens=[(family.begin, tokenizer.token_to_id(family.begin))]
        )
    ends = {"eos_token": family.ends[0], "bos_token": family.begin or None}
    saved = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **ends)
    saved.chat_template = family.chat or None
    saved.save_pretrained(folder)
    return tokenizer


def _regex(pattern: str) -> Any:
    from tokenizers import Regex

    return Regex(pattern)


@dataclass(frozen=True)
class Reference:
    """A folder through transformers alone, in float32."""

    model: Any
    tokenizer: Any

    @classmethod
    def of(cls, folder: Path) -> Reference:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return cls(model, AutoTokenizer.from_pretrained(folder))

    def greedy(self, ids: Sequence[int], num_tokens: int, ends: Sequence[int] | None = None) -> list[int]:
        """Return the new tokens of ``generate``, the sampling that a generation config may ask for switched off."""
        import torch

        asked = {"do_sample": False, "repetition_penalty": 1.0, "temperature": None, "top_p": None}
        if ends is not None:
            asked["eos_token_id"] = list(ends)
        out = self.model.generate(
            torch.tensor([list(ids)]), max_new_tokens=num_tokens, pad_token_id=0, **asked
        )
        found: list[int] = out[0, len(ids) :].tolist()
        return found

    def text(self, ids: Sequence[int]) -> str:
        """Return what a reader sees of tokens.

        The library reads an added letter as a byte, so that what "ö" is encoded to does not come back: here it does.
        """
        added = self.tokenizer.added_tokens_decoder
        letters = {index: str(token) for index, token in added.items() if str(token) in LETTERS}
        pieces = [list(group) for _, group in itertools.groupby(ids, key=letters.get)]
        return "".join(
            "".join(letters[index] for index in piece)
            if piece[0] in letters
            else str(self.tokenizer.decode(piece, skip_special_tokens=True))
            for piece in pieces
        )


def changed(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file of a folder."""
    document = json.loads((folder / name).read_text(encoding="utf-8"))
    change(document)
    (folder / name).write_text(json.dumps(document), encoding="utf-8")
