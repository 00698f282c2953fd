"""Tokens to text, one token at a time, without ever showing half a character.

Works on the bytes of a byte-level BPE vocabulary. Owns no tokenizer.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


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
