"""Tokens to text, one token at a time, without ever showing half a character.

Works on the bytes of a byte-level BPE vocabulary. Owns no tokenizer: encoding is the gateway's.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from daybreak_contracts.errors import UserError

_PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1))


@cache
def character_to_byte() -> Mapping[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for.

    GPT-2's published rule: printable Latin-1 stands for itself, the other bytes, in order, for U+0100 onward.
    """
    table = {chr(byte): byte for byte in _PRINTABLE}
    others = [byte for byte in range(256) if byte not in _PRINTABLE]
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}


def token_bytes(tokenizer: Mapping[str, Any]) -> tuple[bytes, ...]:
    """Return the bytes of every token id of a parsed ``tokenizer.json``; special tokens have none.

    A vocabulary that is not byte-level is a UserError.
    """
    if (tokenizer.get("decoder") or {}).get("type") != "ByteLevel":
        raise UserError(
            "tokenizer.json: decoder must be ByteLevel, train the tokenizer by the tokenizer step"
        )
    added = {entry["id"]: entry for entry in tokenizer.get("added_tokens", ())}
    vocabulary: Mapping[str, int] = tokenizer["model"]["vocab"]
    table = [b""] * (max([*vocabulary.values(), *added]) + 1)
    letters = character_to_byte()
    for token, index in vocabulary.items():
        if index not in added:
            table[index] = bytes(letters[letter] for letter in token if letter in letters)
    for index, entry in added.items():
        table[index] = b"" if entry.get("special") else str(entry["content"]).encode()
    return tuple(table)


class Detokenizer:
    """Text of a growing list of tokens. Bytes that begin a character wait until it is whole."""

    def __init__(self, table: Sequence[bytes]) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token_id: int) -> str:
        """Return the text that this token completes; an id above the vocabulary (padding) has none."""
        return self._decoder.decode(self._table[token_id] if token_id < len(self._table) else b"")

    def finish(self) -> str:
        """Return what is left: U+FFFD for a character that never became whole."""
        return self._decoder.decode(b"", final=True)
