"""Vocabularies that SentencePiece made (Llama 2, CodeLlama, Codestral): blanks are U+2581, bytes have own tokens.

As ``tokenizer.json`` says them: a BPE or a Unigram with byte fallback, so that every text has tokens. A text begins
with one blank more than it has; what stands behind another text does not, or does behind a mark, as the file says.
Owns that rule and the bytes of a token. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

BLANK = "▁"
PARTS = ({"Replace", "ByteFallback"}, {"Metaspace", "ByteFallback"})
"""Of the decoder; others only join what was decoded, or strip the first blank of a whole text."""
JOINING = {"Fuse", "Strip"}
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
Opening = Literal["None", "Always", "UnlessBlank"]
"""Whether a text gets a blank at its front, and whether also one that has a blank there."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_BYTE_INSIDE = re.compile(r"(?<=<)(?=0x[0-9A-F]{2}>)")


def is_sentencepiece(tokenizer: Mapping[str, Any]) -> bool:
    """Tell whether a ``tokenizer.json`` holds such a vocabulary, with a token for each byte."""
    model, decoder = tokenizer.get("model") or {}, tokenizer.get("decoder") or {}
    if model.get("type") not in ("BPE", "Unigram", None) or not model.get("byte_fallback"):
        return False
    if {part.get("type") for part in decoder.get("decoders", ())} - JOINING not in PARTS:
        return False
    tokens = vocabulary_of(tokenizer)
    return all(byte in tokens for byte in BYTES)


def vocabulary_of(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    """Return the ids of a vocabulary's tokens; a Unigram's are a list of tokens with their scores."""
    found = tokenizer["model"]["vocab"]
    return found if isinstance(found, dict) else {entry[0]: index for index, entry in enumerate(found)}


def with_token(tokenizer: dict[str, Any], content: str, index: int) -> None:
    """Give an added token's text a place in the vocabulary, so that its id stays where marks around it go."""
    found = tokenizer["model"]["vocab"]
    if isinstance(found, dict):
        found.setdefault(content, index)
    elif all(entry[0] != content for entry in found):
        lowest = min(entry[1] for entry in found)
        while len(found) < index:  # ids that marks had
            found.append([_unspellable(len(found)), lowest])
        found.append([content, lowest])


def hide_marks(tokenizer: dict[str, Any], marks: Collection[str]) -> None:
    """Let no text spell a Unigram's marks: it cuts a text into whatever its list holds, so ``</s>`` were a mark."""
    found = tokenizer["model"]["vocab"]
    if isinstance(found, list):
        unknown = tokenizer["model"].get("unk_id")
        for index, entry in enumerate(found):
            if entry[0] in marks or index == unknown:
                entry[0] = _unspellable(index)


def _unspellable(index: int) -> str:
    """Return a token that no text has: blanks are U+2581 before a text is cut."""
    return f" {index}"


def apart(text: str) -> list[str]:
    """Return a text in pieces none of which spells a byte's token, for a Unigram, which would take it for the byte.

    >>> apart("a<0x0A>b"), apart("a < 0x0A")
    (['a<', '0x0A>b'], ['a < 0x0A'])
    """
    return _BYTE_INSIDE.split(text)


def piece_bytes(token: str) -> bytes:
    """Return the bytes of a token.

    >>> piece_bytes("▁def"), piece_bytes("<0x0A>"), piece_bytes("ö")
    (b' def', b'\\n', b'\\xc3\\xb6')
    """
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(BLANK, " ").encode()


def opening_of(tokenizer: Mapping[str, Any]) -> Opening:
    """Return what a tokenizer does at the front of a text, by its normalizer or its pre-tokenizer."""
    if any(part.get("type") == "Prepend" for part in _parts(tokenizer, "normalizer", "normalizers")):
        return "Always"
    return "None" if _metaspace_scheme(tokenizer) == "never" else "UnlessBlank"


def later_opening_of(tokenizer: Mapping[str, Any]) -> Opening:
    """Return what a tokenizer does at the front of what stands behind a mark: older files put a blank there, too."""
    if opening_of(tokenizer) == "Always":
        return "Always"
    return "UnlessBlank" if _metaspace_scheme(tokenizer) == "always" else "None"


def _metaspace_scheme(tokenizer: Mapping[str, Any]) -> str:
    """Return where Metaspace puts a blank: ``first``, ``always`` or ``never``; ``never`` too where it is not used."""
    for part in _parts(tokenizer, "pre_tokenizer", "pretokenizers"):
        if part.get("type") == "Metaspace":
            older = "always" if part.get("add_prefix_space", True) else "never"
            return str(part.get("prepend_scheme") or older)
    return "never"


def without_opening(tokenizer: dict[str, Any]) -> None:
    """Take the blank at the front of texts away, so that any part of a text can be encoded by itself."""
    normalizer = tokenizer.get("normalizer")
    if normalizer is not None:
        kept = [
            part for part in _parts(tokenizer, "normalizer", "normalizers") if part.get("type") != "Prepend"
        ]
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": kept} if kept else None
    for part in _parts(tokenizer, "pre_tokenizer", "pretokenizers"):
        if part.get("type") == "Metaspace":
            part["prepend_scheme"] = "never"
            part.pop("add_prefix_space", None)


def opened(text: str, opening: Opening) -> str:
    """Return a text as it stands at the front of a prompt.

    >>> opened("a", "Always"), opened(" a", "Always"), opened(" a", "UnlessBlank"), opened("", "Always")
    (' a', '  a', ' a', '')
    """
    if opening == "None" or not text or (opening == "UnlessBlank" and text.startswith((" ", BLANK))):
        return text
    return f" {text}"


def _parts(tokenizer: Mapping[str, Any], key: str, inner: str) -> list[Any]:
    whole = tokenizer.get(key) or {}
    return list(whole.get(inner, [whole] if whole else []))
