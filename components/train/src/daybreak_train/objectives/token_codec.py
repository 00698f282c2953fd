"""Token ids to text and back, byte for byte, so that a document can be cut between characters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_model.vocabulary import TextEncoder, token_bytes

_FIRST_ATOM = 0xD800
"""Added tokens stand in text as lone surrogates: no decoded text holds one, so none can be confused with text."""
_NUM_ATOMS = 2048
_ATOMS = re.compile("([\ud800-\udfff])")


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
