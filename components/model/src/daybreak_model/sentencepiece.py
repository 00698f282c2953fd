"""Vocabularies that SentencePiece made (Llama 2, CodeLlama, Codestral): blanks are U+2581, bytes have own tokens.

As ``tokenizer.json`` says them, a BPE with byte fallback. A text begins with one blank more than it has; what stands
behind another text does not. Owns that rule and the bytes of a token. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

BLANK = "▁"
PARTS = ["Replace", "ByteFallback", "Fuse"]
"""Of the decoder; a last one that strips the first blank of a whole text may follow."""
Opening = Literal["None", "Always", "UnlessBlank"]
"""Whether a text gets a blank at its front, and whether also one that has a blank there."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def is_sentencepiece(tokenizer: Mapping[str, Any]) -> bool:
    """Tell whether a ``tokenizer.json`` holds such a vocabulary, as BPE; a Unigram one is another thing."""
    model, decoder = tokenizer.get("model") or {}, tokenizer.get("decoder") or {}
    parts = [part.get("type") for part in decoder.get("decoders", ())]
    is_bpe = model.get("type") in ("BPE", None) and bool(model.get("byte_fallback"))
    return is_bpe and parts[:3] == PARTS and parts[3:] in ([], ["Strip"])


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
    for part in _parts(tokenizer, "pre_tokenizer", "pretokenizers"):
        if part.get("type") == "Metaspace":
            scheme = part.get("prepend_scheme") or (
                "always" if part.get("add_prefix_space", True) else "never"
            )
            return "None" if scheme == "never" else "UnlessBlank"
    return "None"


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
