"""How model families spell the tokens that compose a prompt: ours, Qwen2.5-Coder's, StarCoder2's, DeepSeek-Coder's.

Owns the table from a family's spelling to our name of the role (`names.FIM_PREFIX` and so on), so that all that
composes prompts knows roles only. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from daybreak_contracts import names

FIM_ROLES = (names.FIM_PREFIX, names.FIM_SUFFIX, names.FIM_MIDDLE)

# Published tokenizers: Qwen/Qwen2.5-Coder, bigcode/starcoder2 (also Granite Code, Yi-Coder, SmolLM),
# bigcode/santacoder, deepseek-ai/deepseek-coder, stabilityai/stable-code and THUDM/codegeex4.
FIM_SPELLINGS: tuple[tuple[str, str, str], ...] = (
    FIM_ROLES,
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
)
"""Prefix, suffix, middle; all of these families are asked in this order. The last one is CodeLlama's."""
SUFFIX_FIRST: tuple[tuple[str, ...], ...] = (
    ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),
    ("[PREFIX]", "[SUFFIX]"),
)
"""Seed-Coder's, and Codestral's, which has none for the middle: asked suffix, prefix, middle. So is JetBrains' Mellum,
but it spells its marks as StarCoder does."""
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
    if not all(role in found for role in FIM_ROLES):
        whole = (spelled for spelled in FIM_SPELLINGS if all(mark in added for mark in spelled))
        spelled = next(whole, suffix_first(added))
        found |= dict(zip(FIM_ROLES, (added[mark] for mark in spelled), strict=False))
    for role, spellings in OTHER_SPELLINGS.items():
        present = [added[spelling] for spelling in spellings if spelling in added]
        if role not in found and present:
            found[role] = present[0]
    return found


def suffix_first(added: Collection[str]) -> tuple[str, ...]:
    """Return the marks of a suffix-first family, none where a tokenizer has none or another family's."""
    if any(is_of(spelled, added) for spelled in FIM_SPELLINGS):
        return ()
    return next((spelled for spelled in SUFFIX_FIRST if is_of(spelled, added)), ())


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
