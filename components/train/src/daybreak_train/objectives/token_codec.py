"""Token ids to text and back, byte for byte, so that a document can be cut between characters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from daybreak_contracts.errors import UserError
from daybreak_model.vocabulary import SPLIT_PATTERN, TextEncoder, token_bytes

_FIRST_ATOM = 0xD800
"""Added tokens stand in text as lone surrogates: no decoded text holds one, so none can be confused with text."""
_NUM_ATOMS = 2048
_ATOMS = re.compile("([\ud800-\udfff])")
_BLANK = re.compile(rb"[!-~] ")


class TokenCodec:
    """Text of token ids and back, byte for byte, for a byte-level BPE.

    Special tokens in a sample stay single tokens; text that merely spells one stays text.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Take a ``tokenizers.Tokenizer``."""
        tokenizer_json = str(tokenizer.to_str())
        self._encoder = TextEncoder(tokenizer_json)
        added: Mapping[int, Any] = tokenizer.get_added_tokens_decoder()
        if len(added) > _NUM_ATOMS:
            raise UserError(
                f"the tokenizer has {len(added)} added tokens, fill-in-the-middle allows {_NUM_ATOMS}"
            )
        self._atom_ids = sorted(added)
        atom_of = {token: chr(_FIRST_ATOM + index) for index, token in enumerate(self._atom_ids)}
        table = token_bytes(tokenizer_json, special_as_text=True)
        self._pieces: dict[int, bytes | str] = {**dict(enumerate(table)), **atom_of}
        self._lengths = np.array([len(piece) for piece in table], dtype=np.int64)
        self._begins_words_at_blanks = begins_words_at_blanks(tokenizer_json)

    def decode(self, ids: Sequence[int]) -> str | None:
        """Return the text, added tokens as single surrogates; None when the bytes are not whole characters."""
        pieces = [self._pieces[token] for token in ids]
        try:
            return b"".join(pieces).decode()  # type: ignore[arg-type]  # hardly any document has an added token
        except UnicodeDecodeError:
            return None
        except TypeError:
            return _joined(pieces)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text made by ``decode``."""
        ids: list[int] = []
        for part in _ATOMS.split(text):
            if len(part) == 1 and _FIRST_ATOM <= ord(part) < _FIRST_ATOM + _NUM_ATOMS:
                ids.append(self._atom_ids[ord(part) - _FIRST_ATOM])
            elif part:
                ids.extend(self._encoder.encode(part))
        return ids

    def encode_parts(self, ids: Sequence[int], text: str, cuts: Sequence[int]) -> list[list[int]]:
        """Return the ids of each part of ``text``, which is ``decode(ids)``, between the positions ``cuts``.

        Equal to ``encode`` of each part where ``ids`` is ``encode`` of the whole or a piece of it. Only what lies
        between a cut and the next blank is tokenised again: beyond it no word differs from one of the whole.
        """
        bounds = [0, *cuts, len(text)]
        parts = [text[start:stop] for start, stop in pairwise(bounds)]
        if not self._begins_words_at_blanks or (not text.isascii() and _ATOMS.search(text)):
            return [self.encode(part) for part in parts]
        data = text.encode()
        ends = np.cumsum(self._lengths[np.array(ids, dtype=np.int64)])
        found, start = [], 0
        for part in parts:
            stop = start + (len(part) if part.isascii() else len(part.encode()))
            found.append(self._encode_part(ids, ends, data, start, stop))
            start = stop
        return found

    def _encode_part(self, ids: Sequence[int], ends: Any, data: bytes, start: int, stop: int) -> list[int]:
        first, last = _BLANK.search(data, start, stop), _last_blank(data, start, stop)
        if first is not None and first.end() - 1 < last:
            begin = first.end() - 1
            low, high = np.searchsorted(ends, (begin, last))
            if ends[low] == begin and ends[high] == last:
                head = self._encoder.encode(data[start:begin].decode())
                return [*head, *ids[low + 1 : high + 1], *self._encoder.encode(data[last:stop].decode())]
        return self._encoder.encode(data[start:stop].decode()) if start < stop else []


def _last_blank(data: bytes, start: int, stop: int) -> int:
    """Return where the last blank behind a visible ASCII character is, -1 for nowhere."""
    at = data.rfind(b" ", start + 1, stop)
    while at != -1 and not 0x21 <= data[at - 1] <= 0x7E:
        at = data.rfind(b" ", start + 1, at)
    return at


def begins_words_at_blanks(tokenizer_json: str) -> bool:
    """Tell whether a blank behind a visible ASCII character always begins a new word of the tokenizer.

    So it is for the two patterns of byte-level tokenizers that we know (ours, which is Qwen2's, and GPT-2's): no word
    goes on from a visible character to a blank, and none looks behind itself.
    """
    document = json.loads(tokenizer_json)
    splits = document.get("pre_tokenizer") or {}
    parts = splits.get("pretokenizers", [splits])
    by_bytes = parts[-1]
    if by_bytes.get("type") != "ByteLevel" or by_bytes.get("add_prefix_space") or document.get("normalizer"):
        return False
    if len(parts) == 1:
        return bool(by_bytes.get("use_regex", True))
    pattern = (parts[0].get("pattern") or {}).get("Regex")
    is_plain = parts[0].get("behavior") == "Isolated" and not parts[0].get("invert")
    return len(parts) == 2 and pattern == SPLIT_PATTERN and is_plain and not by_bytes.get("use_regex", True)


def _joined(pieces: Sequence[bytes | str]) -> str | None:
    parts: list[str] = []
    run = bytearray()
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                run += piece
                continue
            parts.extend((run.decode(), piece))
            run.clear()
        parts.append(run.decode())
    except UnicodeDecodeError:
        return None
    return "".join(parts)
