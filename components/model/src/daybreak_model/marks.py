"""How model families spell the tokens that compose a prompt, in which order they are asked, and who says so.

Owns the table from a family's spelling to our name of the role (`names.FIM_PREFIX` and so on), so that all that
composes prompts knows roles only, and who reads prompts that editors composed has the same table. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from daybreak_contracts import names

FIM_ROLES = (names.FIM_PREFIX, names.FIM_SUFFIX, names.FIM_MIDDLE)
AskedOrder = Literal["PSM", "SPM"]


@dataclass(frozen=True)
class FimFamily:
    """How a family of models spells the marks of a gap and of other files, and the order that it is asked in."""

    name: str
    prefix: str
    suffix: str
    middle: str
    """Empty where there is none."""
    source: str
    """Who says so: all of it was read there, none of it is from memory."""
    order: AskedOrder = "PSM"
    repository: str = ""
    file: str = ""
    told_by: tuple[str, ...] = ()
    """Further added tokens, where another family spells its marks the same way."""

    @property
    def spelled(self) -> tuple[str, ...]:
        """Its marks of a gap in the order of our roles."""
        return tuple(filter(None, (self.prefix, self.suffix, self.middle)))

    def is_in(self, added: Collection[str]) -> bool:
        """Tell whether a tokenizer's added tokens hold all of its marks."""
        return is_of((*self.spelled, *self.told_by), added)


FIM_FAMILIES = (
    FimFamily(
        "Mellum",
        *FIM_ROLES,
        "JetBrains/Mellum-4b-base, model card as g0t4/ask-openai.nvim quotes it, and its special_tokens_map.json",
        "SPM",
        "<reponame>",
        "<filename>",
        told_by=("<system>", "</assistant>"),
    ),
    FimFamily(
        "StarCoder2, ours",
        *FIM_ROLES,
        "arXiv 2402.19173, section 5.1",
        repository="<repo_name>",
        file="<file_sep>",
    ),
    FimFamily(
        "StarCoder, Granite Code",
        *FIM_ROLES,
        "bigcode/tiny_starcoder_py, model card; sourcegraph/cody, starcoder.ts; none read for Granite Code",
        repository="<reponame>",
        file="<filename>",
    ),
    FimFamily(
        "Qwen2.5-Coder, Granite 4",
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        "continue, AutocompleteTemplate.ts (by Qwen2.5-Coder's README, and ibm.com/granite/docs for Granite 4)",
        repository="<|repo_name|>",
        file="<|file_sep|>",
    ),
    FimFamily(
        "CodeGemma",
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        "ai.google.dev/gemma/docs/codegemma/prompt-structure",
        file="<|file_separator|>",
    ),
    FimFamily(
        "SantaCoder",
        "<fim-prefix>",
        "<fim-suffix>",
        "<fim-middle>",
        "tzachar/cmp-ai, backends/hf.lua",
    ),
    FimFamily(
        "DeepSeek-Coder",
        "<｜fim▁begin｜>",
        "<｜fim▁hole｜>",
        "<｜fim▁end｜>",
        "deepseek-ai/DeepSeek-Coder, README.md, Code Insertion",
    ),
    FimFamily(
        "GLM, CodeGeeX4",
        "<|code_prefix|>",
        "<|code_suffix|>",
        "<|code_middle|>",
        "zed-industries/zed, format_fim_prompt (Glm); CodeGeeX4's own guide has the suffix first, in a chat's turn",
    ),
    FimFamily(
        "CodeLlama",
        "▁<PRE>",
        "▁<SUF>",
        "▁<MID>",
        "meta-llama/codellama, llama/generation.py, infilling_prompt_tokens",
    ),
    FimFamily(
        "Seed-Coder",
        "<[fim-prefix]>",
        "<[fim-suffix]>",
        "<[fim-middle]>",
        "Seed-Coder's technical report, on fill-in-the-middle",
        "SPM",
        file="<filename>",
    ),
    FimFamily(
        "Codestral",
        "[PREFIX]",
        "[SUFFIX]",
        "",
        "mistralai/mistral-common, tokens/tokenizers/instruct.py, encode_fim",
        "SPM",
    ),
)
"""Of several that spell alike the first that a tokenizer holds; marks of files need not be in it."""
OTHER_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    names.END_OF_TEXT: ("<｜end▁of▁sentence｜>", "<|end_of_text|>", "</s>"),
    names.FIM_PAD: ("<|fim_pad|>", "<fim-pad>"),
    names.REPOSITORY_NAME: ("<repo_name>",),
    names.FILE_SEPARATOR: ("<file_sep>",),
}
QWEN_FILES = ("<|repo_name|>", "<|file_sep|>", "<|fim_prefix|>")
STARCODER2_FILES = ("<repo_name>", "<file_sep>", "<fim_prefix>")
"""The tokenizers of the families whose base models were trained on whole repositories (Qwen2.5-Coder's technical
report, section 3.2; StarCoder2, arXiv 2402.19173, section 5.1). Ours has the first family's marks of files and the
second one's of gaps."""
ENDS_OF_TURN = ("▁<EOT>", "<|im_end|>", "<|im_start|>", "<|eot_id|>", "<|EOT|>", "<|User|>")
"""Of chats: no text goes on behind one."""
NEXT_FILES = ("<filename>", "<reponame>")
"""StarCoder's and Granite's marks before a file."""


def roles_of(added: Mapping[str, int]) -> dict[str, int]:
    """Return our roles of a tokenizer's added tokens, by our names; ours win, then the first family that is whole."""
    found = {name: added[name] for name in names.SPECIAL_TOKENS if name in added}
    family = family_of(added)
    if family is not None:
        found = dict(zip(FIM_ROLES, (added[mark] for mark in family.spelled), strict=False)) | found
    for role, spellings in OTHER_SPELLINGS.items():
        present = [added[spelling] for spelling in spellings if spelling in added]
        if role not in found and present:
            found[role] = present[0]
    return found


def family_of(added: Collection[str]) -> FimFamily | None:
    """Return the family whose marks a tokenizer's added tokens hold: one that is asked prefix first, if there is one,
    else one with a mark of its own; None where there is none.
    """
    found = [family for family in FIM_FAMILIES if family.is_in(added)]
    told = [family for family in found if family.told_by]
    plain = [family for family in found if family.order == "PSM"]
    return next(iter((*told, *plain, *found)), None)


def suffix_first(added: Collection[str]) -> tuple[str, ...]:
    """Return the marks of a suffix-first family, none where a tokenizer has none or another family's."""
    family = family_of(added)
    return family.spelled if family is not None and family.order == "SPM" else ()


def is_of(family: Collection[str], added: Collection[str]) -> bool:
    """Tell whether a tokenizer's added tokens hold all of a family's."""
    return all(mark in added for mark in family)


def final_ids(added: Mapping[str, int]) -> frozenset[int]:
    """Return the ids of marks that no text of a foreign model goes on behind: those of a prompt, of a file, of a turn.

    A model that has filled its gap tells so by any of them, and most of them are not flagged as special: they would
    be read as text.
    """
    roles = roles_of(added)
    marks = (*FIM_ROLES, names.END_OF_TEXT, names.FIM_PAD, names.REPOSITORY_NAME, names.FILE_SEPARATOR)
    chat = (added[mark] for mark in (*ENDS_OF_TURN, *NEXT_FILES) if mark in added)
    return frozenset((*(roles[mark] for mark in marks if mark in roles), *chat))


def is_plain(content: str, *, special: bool) -> bool:
    """Tell whether an added token is a piece of text and no mark: some tokenizers add letters or runs of blanks.

    >>> is_plain("ö", special=False), is_plain("<tool_call>", special=False), is_plain("    ", special=False)
    (True, False, True)
    """
    brackets = (("<", ">"), ("[", "]"))
    is_mark = any(content.startswith(one) and content.endswith(other) for one, other in brackets)
    return not special and not (is_mark and len(content) > len("<>"))


def added_ids(entries: Collection[Mapping[str, object]]) -> dict[str, int]:
    """Return the ids of a tokenizer's added tokens by their spelling, those of our earlier tokenizers by today's."""
    return {
        names.RESPELLED_TOKENS.get(str(entry["content"]), str(entry["content"])): int(str(entry["id"]))
        for entry in entries
    }
