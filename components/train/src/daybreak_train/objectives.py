"""What the model learns to predict: next token, or fill in the middle.

Owns the transform of one sample of token ids. Its randomness is counter-based: the bytes depend on seed, epoch and
sample id alone, never on workers, ranks, resumes or what was drawn before. Owns no loading and no loss.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Objective as ObjectiveSpec
from daybreak_model.vocabulary import TextEncoder, special_ids, token_bytes

IGNORED = -100
"""Label of a position that is not trained on."""
Tokens = NDArray[np.int64]

_FIRST_ATOM = 0xD800
"""Added tokens stand in text as lone surrogates: no decoded text holds one, so none can be confused with text."""
_NUM_ATOMS = 2048
_ATOMS = re.compile("([\ud800-\udfff])")


class Objective(Protocol):
    """Maps one sample of token ids to one of the same length."""

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> Tokens:
        """Return what the model is trained on when it meets this sample in this epoch."""


class NextToken:
    """Plain left-to-right training: the sample as it is."""

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> Tokens:
        """Return the tokens unchanged."""
        return tokens


def labels_of(tokens: Tokens, pad_id: int) -> Tokens:
    """Return the label of every position: the token after it; padding and the last position are ignored."""
    labels = np.full_like(tokens, IGNORED)
    labels[..., :-1] = tokens[..., 1:]
    labels[labels == pad_id] = IGNORED
    return labels


def draws(seed: int, purpose: str, counter: tuple[int, int, int], count: int = 4) -> list[int]:
    """Return ``count`` integers below 2^64 that depend on the arguments alone.

    Philox 4x64 (Salmon et al. 2011) keyed by BLAKE2b of seed and purpose; numpy promises its raw stream for good.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=16).digest()
    key = np.frombuffer(digest, dtype="<u8").astype(np.uint64)
    words = np.array([0, *counter], dtype=np.uint64)  # the lowest word counts the blocks of one caller
    return [int(raw) for raw in np.random.Philox(counter=words, key=key).random_raw(count)]


def below(raw: int, bound: int) -> int:
    """Map a 64-bit draw to 0 .. bound - 1 (Lemire's multiplication; bias below bound / 2^64)."""
    return (raw * bound) >> 64


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
        parts: list[str] = []
        run = bytearray()
        try:
            for token in ids:
                piece = self._pieces[token]
                if isinstance(piece, bytes):
                    run += piece
                    continue
                parts.extend((run.decode(), piece))
                run.clear()
            parts.append(run.decode())
        except UnicodeDecodeError:
            return None
        return "".join(parts)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text made by ``decode``."""
        ids: list[int] = []
        for part in _ATOMS.split(text):
            if len(part) == 1 and _FIRST_ATOM <= ord(part) < _FIRST_ATOM + _NUM_ATOMS:
                ids.append(self._atom_ids[ord(part) - _FIRST_ATOM])
            elif part:
                ids.extend(self._encoder.encode(part))
        return ids


@dataclass(frozen=True)
class Sentinels:
    """Ids of the tokens that the layout needs."""

    end_of_text: int
    prefix: int
    middle: int
    suffix: int
    pad: int

    @classmethod
    def of(cls, token_ids: Mapping[str, int]) -> Sentinels:
        """Look the ids up by their names; a missing one is a UserError."""
        wanted = (names.END_OF_TEXT, names.FIM_PREFIX, names.FIM_MIDDLE, names.FIM_SUFFIX, names.FIM_PAD)
        missing = [name for name in wanted if name not in token_ids]
        if missing:
            raise UserError(
                f"the tokenizer has no token {missing[0]}: train it with this project's special tokens"
            )
        return cls(*(token_ids[name] for name in wanted))


@dataclass(frozen=True)
class FillInTheMiddle:
    """Character-level, context-level fill in the middle as StarCoder trained it.

    Bavarian et al. 2022 (arXiv 2207.14255); layout and cuts of bigcode-project/Megatron-LM ``permute``: each
    document inside the sample is cut at two uniform character positions, its three parts are tokenised again and
    laid out prefix-suffix-middle, or (variant 2) suffix-prefix-middle.
    """

    codec: TokenCodec
    sentinels: Sentinels
    rate: float
    spm_share: float
    seed: int

    def __call__(self, tokens: Tokens, epoch: int, sample_id: int) -> Tokens:
        """Return the sample with some documents rearranged, cut or padded to its own length."""
        if self.rate <= 0:
            return tokens
        out: list[int] = []
        for index, (document, ended) in enumerate(self._documents(tokens)):
            out.extend(self.document(document, (index, sample_id, epoch)))
            if ended:
                out.append(self.sentinels.end_of_text)
        length = len(tokens)
        out = out[:length] + [self.sentinels.pad] * (length - len(out))
        return np.array(out, dtype=tokens.dtype)

    def document(self, ids: list[int], counter: tuple[int, int, int]) -> list[int]:
        """Return one document's ids, rearranged if the draw says so and the ids are whole characters."""
        decide, first, second, layout = draws(self.seed, "fill-in-the-middle", counter)
        if not ids or below(decide, self._scale) >= self.rate * self._scale:
            return ids
        text = self.codec.decode(ids)
        if text is None:
            return ids  # the sample's edge cuts a character in two: such a part can't be written as text
        low, high = sorted((below(first, len(text) + 1), below(second, len(text) + 1)))
        prefix, middle, suffix = (
            self.codec.encode(part) for part in (text[:low], text[low:high], text[high:])
        )
        marks = self.sentinels
        if below(layout, self._scale) < self.spm_share * self._scale:
            return [marks.prefix, marks.suffix, *suffix, marks.middle, *prefix, *middle]
        return [marks.prefix, *prefix, marks.suffix, *suffix, marks.middle, *middle]

    def _documents(self, tokens: Tokens) -> Iterator[tuple[list[int], bool]]:
        ids: list[int] = tokens.tolist()
        while ids and ids[-1] == self.sentinels.pad:
            ids.pop()
        start = 0
        for position, token in enumerate(ids):
            if token == self.sentinels.end_of_text:
                yield ids[start:position], True
                start = position + 1
        if start < len(ids):
            yield ids[start:], False

    @cached_property
    def _scale(self) -> int:
        return 1 << 53


def restore(ids: Sequence[int], sentinels: Sentinels, spm: bool) -> tuple[list[int], list[int], list[int]]:
    """Return prefix, middle and suffix of one rearranged document: the inverse of the two layouts.

    In variant 2 prefix and middle follow each other without a mark, so the prefix comes back empty and the middle
    holds both; their concatenation is the document's beginning either way.
    """
    ids = list(ids)
    if spm:
        end = ids.index(sentinels.middle)
        return [], ids[end + 1 :], ids[2:end]
    split, end = ids.index(sentinels.suffix), ids.index(sentinels.middle)
    return ids[1:split], ids[end + 1 :], ids[split + 1 : end]


def objective_for(spec: ObjectiveSpec, tokenizer: Any, seed: int) -> Objective:
    """Return the objective that the manifest asks for; ``tokenizer`` is a ``tokenizers.Tokenizer``."""
    wanted = spec.fill_in_the_middle
    if wanted is None or float(wanted.rate) <= 0:
        return NextToken()
    sentinels = Sentinels.of(special_ids(str(tokenizer.to_str())))
    return FillInTheMiddle(
        codec=TokenCodec(tokenizer),
        sentinels=sentinels,
        rate=float(wanted.rate),
        spm_share=float(wanted.spm_share),
        seed=seed,
    )
