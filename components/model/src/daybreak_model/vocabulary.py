"""A byte-level vocabulary: the bytes of its tokens, and text to ids that never become special tokens.

Owns the one rule for special tokens: in text they are the characters that spell them, and only code that composes a
prompt or a training sample puts one in by its id. Trains no tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model import marks, sentencepiece

SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's pre-tokenizer: contractions, words with the character before them, single digits, punctuation with the line
end behind it, blanks. On held-out code 3 to 14 % fewer tokens than GPT-2's pattern at the same vocabulary."""
CHARACTERS_TRIED = 6
"""Characters a token that are encoded first of a long text: code has three to four, deep indentation more."""
EDGE_TOKENS = 32
"""Tokens at a cut that are not believed: splits fall as in the whole text again a word or two behind it."""
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


@cache
def byte_of_character() -> Mapping[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for.

    GPT-2's published rule (openai/gpt-2, encoder.py): printable Latin-1 stands for itself, the other 68 bytes, in
    order, for U+0100 onward.
    """
    others = [byte for byte in range(256) if byte not in _PRINTABLE]
    table = {chr(byte): byte for byte in _PRINTABLE}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(others)}


def token_bytes(tokenizer_json: str, *, special_as_text: bool) -> tuple[bytes, ...]:
    """Return the bytes of every token by id, of the text of a ``tokenizer.json``.

    A special token has the bytes of its spelling, or none: what a model says with it is not meant to be read. A
    vocabulary that is not byte-level is a UserError.
    """
    document = json.loads(tokenizer_json)
    refuse_other_vocabularies(document)
    added = {entry["id"]: entry for entry in document.get("added_tokens", ())}
    vocabulary = sentencepiece.vocabulary_of(document)
    bytes_of = sentencepiece.piece_bytes if sentencepiece.is_sentencepiece(document) else _bytes_of
    table = [b""] * (max([*vocabulary.values(), *added]) + 1)
    for token, index in vocabulary.items():
        table[index] = bytes_of(token)
    for index, entry in added.items():
        is_silent = entry.get("special") and not special_as_text
        table[index] = b"" if is_silent else str(entry["content"]).encode()
    return tuple(table)


def token_spellings(tokenizer_json: str) -> dict[int, str]:
    """Return every token by id as a ``tokenizer.json`` spells it."""
    document = json.loads(tokenizer_json)
    found = {index: token for token, index in sentencepiece.vocabulary_of(document).items()}
    return found | {entry["id"]: str(entry["content"]) for entry in document.get("added_tokens", ())}


def refuse_other_vocabularies(tokenizer: Mapping[str, Any]) -> None:
    """Refuse a tokenizer that is neither byte-level BPE nor SentencePiece's with byte fallback: what its tokens spell
    hangs on what stands before them, or some texts have no tokens.
    """
    if sentencepiece.is_sentencepiece(tokenizer):
        return
    decoder, kind = tokenizer.get("decoder") or {}, (tokenizer.get("model") or {}).get("type")
    parts = decoder.get("decoders") if decoder.get("type") == "Sequence" else [decoder]
    if [part.get("type") for part in parts or ()] != ["ByteLevel"] or kind not in ("BPE", None):
        raise UserError(
            f"tokenizer.json: decoder must be ByteLevel and the model BPE, got {decoder.get('type')} and {kind}: "
            "of SentencePiece vocabularies those with a token for each byte are served (byte fallback, as Llama 2's), "
            "take a model with such a one or a byte-level one, or train the tokenizer by the tokenizer step"
        )


def _bytes_of(token: str) -> bytes:
    """Return the bytes of a token; one with a foreign character is its own text, as for the library's decoder."""
    alphabet = byte_of_character()
    if all(character in alphabet for character in token):
        return bytes(alphabet[character] for character in token)
    return token.encode()


def without_special_tokens(tokenizer_json: str) -> str:
    """Return the same tokenizer without special tokens and marks: their spelling is ordinary text to it. A blank that
    it puts before a text is gone too (`TextEncoder.opening`).

    Added tokens that are text, as letters or blanks, stay; an id of the vocabulary keeps theirs where others go.
    """
    document = json.loads(tokenizer_json)
    added = document.get("added_tokens", ())  # the only entries that an encoder looks for in raw text
    plain = [entry for entry in added if marks.is_plain(entry["content"], special=bool(entry.get("special")))]
    sentencepiece.hide_marks(document, {entry["content"] for entry in added if entry not in plain})
    document["added_tokens"] = plain
    for entry in plain:
        sentencepiece.with_token(document, entry["content"], entry["id"])
    sentencepiece.without_opening(document)
    document["post_processor"] = None  # would add a begin-of-text token
    document["truncation"] = document["padding"] = None
    return json.dumps(document, ensure_ascii=False)


class TextEncoder:
    """Text to token ids without special tokens, whatever the text spells."""

    def __init__(self, tokenizer_json: str) -> None:
        """Take the text of a ``tokenizer.json``."""
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_str(without_special_tokens(tokenizer_json))
        document = json.loads(tokenizer_json)
        self._is_unigram = (document.get("model") or {}).get("type") == "Unigram"
        self.opening = sentencepiece.opening_of(document)
        """What a text gets at the front of a prompt, and only there."""
        self.later_opening = sentencepiece.later_opening_of(document)
        """What a text gets behind a mark of a conversation."""
        self.longest_token = max(len(entry.encode()) for entry in self._tokenizer.get_vocab())
        """Bytes that no token exceeds: a text of n characters has at least n / longest_token tokens."""

    def encode(self, text: str) -> list[int]:
        """Return token ids; other threads run meanwhile, which ``encode`` of the library would not let them."""
        pieces = sentencepiece.apart(text) if self._is_unigram else [text]
        found = self._tokenizer.encode_batch(pieces, add_special_tokens=False)
        return [int(index) for piece in found for index in piece.ids]

    def encode_behind_marks(self, text: str, is_first: bool) -> list[int]:
        """Return token ids of a piece of a conversation, the first or one behind a mark."""
        return self.encode(sentencepiece.opened(text, self.opening if is_first else self.later_opening))

    def encode_end(self, text: str, num_tokens: int) -> tuple[list[int], int]:
        """Return at least the last ``num_tokens`` tokens of a text, and about how many more stand before them."""
        return self._encode_part(text, num_tokens, lambda length: text[len(text) - length :])

    def encode_start(self, text: str, num_tokens: int) -> tuple[list[int], int]:
        """Return at least the first ``num_tokens`` tokens of a text, and about how many more stand behind them."""
        return self._encode_part(text, num_tokens, lambda length: text[:length])

    def _encode_part(self, text: str, num_tokens: int, part: Callable[[int], str]) -> tuple[list[int], int]:
        """Encode a part that grows until it holds the tokens and ``EDGE_TOKENS`` more, which a cut may have changed.

        Work is bounded by what is wanted, not by what a stranger sends: a megabyte takes seconds to encode.
        """
        length = CHARACTERS_TRIED * (num_tokens + EDGE_TOKENS)
        while length < len(text):
            ids = self.encode(part(length))
            if len(ids) >= num_tokens + EDGE_TOKENS:
                return ids, round(len(ids) * (len(text) - length) / length)
            length *= 4
        return self.encode(text), 0


def special_ids(tokenizer_json: str) -> dict[str, int]:
    """Return the ids of a tokenizer's special tokens by our names, whatever its family calls them."""
    return marks.roles_of(marks.added_ids(json.loads(tokenizer_json).get("added_tokens", ())))


def respelled(token: str) -> str:
    """Return how a special token is spelled now: earlier tokenizers have some that code spells by chance."""
    return names.RESPELLED_TOKENS.get(token, token)


def with_control_spellings(tokenizer_json: str) -> str:
    """Return the same tokenizer with its special tokens as they are spelled now; one of today is returned as it is.

    Every program but ours looks for special tokens in raw text and would read `board[X]` as `board`. Ids and what
    text encodes to here stay the same.
    """
    document = json.loads(tokenizer_json)
    old = {entry["content"] for entry in document.get("added_tokens", ())} & names.RESPELLED_TOKENS.keys()
    if not old:
        return tokenizer_json
    for entry in document["added_tokens"]:
        entry["content"] = respelled(entry["content"])
    vocabulary: Mapping[str, int] = document["model"]["vocab"]
    document["model"]["vocab"] = {
        respelled(token) if token in old else token: index for token, index in vocabulary.items()
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
