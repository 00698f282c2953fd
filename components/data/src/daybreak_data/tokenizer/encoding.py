"""Text to token ids and back, without loss and without ever making a special token out of text.

Owns the choice between `gigatoken` (about 40 times faster) and `tokenizers` (the reference): the fast one is used
only while it agrees with the reference and gives every byte back. Trains nothing and reads no artifact.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from daybreak_contracts.errors import UserError
from daybreak_model.vocabulary import without_special_tokens

Ids = npt.NDArray[np.uint32]

AUTO = "auto"
FAST = "gigatoken"
REFERENCE = "tokenizers"

log = logging.getLogger(__name__)

# Each line is a place where pre-tokenizers differ: contractions in both cases, digits, runs of blanks before a word
# and at the end, carriage returns, combining marks, right-to-left, surrogate pairs, control and private characters.
PROBES = (
    "",
    " ",
    "\n",
    "def f(x1, y22):\n    return x1 + 1234567.89e-10  # they'll we'RE it's\n",
    "\tif (a&&b||!c) {\r\n\t\treturn a->b::c<T>{};\r\n\t}\r\n\r\n\r\n",
    "    \n  \n\t\n end   ",
    "e\u0301 \u00e9 \u1e9b\u0323 \ufb01 \u212b \u2126",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u4f60\u597d\u4e16\u754c \u3053\u3093 \u0e2a\u0e27\u0e31",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2167 \u00bd \u0663\u096a",
    "\x00\x01\x7f\x1b[0m\u00a0\u2028\u2029\ufeff\ufffd\ue000\U0010ffff",
    "'S'T'RE'VE'M'LL'D \u017f\u212a 's",
    "<|endoftext|><fim_prefix><|mode_r|>[R]<|extra_id_7|><KEY> <|file_sep|>",
    "====" * 40 + "----" * 33 + " " * 70 + "x",
)


@dataclass(frozen=True)
class Encoder:
    """An engine that is ready to encode, and why it is not the fast one when it is not."""

    engine: str
    """`gigatoken` or `tokenizers`."""
    reason: str
    """Why the fast engine is not used; empty when it is."""
    reference: Any = field(repr=False)
    """`tokenizers.Tokenizer` that knows no special token."""
    fast: Any = field(repr=False, default=None)
    """`gigatoken.Tokenizer` or None."""


def load_encoder(tokenizer_json: str, engine: str = AUTO, probes: Sequence[str] = PROBES) -> Encoder:
    """Return an encoder for the text of a ``tokenizer.json``; text that is no tokenizer is a UserError.

    ``auto`` takes `gigatoken` when it loads the file and encodes every probe as `tokenizers` does.
    """
    import tokenizers

    try:
        plain = without_special_tokens(tokenizer_json)
        reference = tokenizers.Tokenizer.from_str(plain)
    except Exception as error:  # tokenizers raises nothing more exact, whatever the fault of the file
        raise UserError(f"not a tokenizer.json that can be read: {error}") from error
    if engine == REFERENCE:
        return Encoder(REFERENCE, "asked for", reference)
    fast, reason = _load_fast(plain)
    if fast is None:
        return Encoder(REFERENCE, reason, reference)
    encoder = Encoder(FAST, "", reference, fast)
    return check_parity(encoder, probes)


def _load_fast(plain: str) -> tuple[Any, str]:
    try:
        import gigatoken
    except ImportError as error:
        return None, f"gigatoken cannot be imported: {error}"
    try:
        return gigatoken.Tokenizer.from_json(plain), ""
    except (RuntimeError, ValueError) as error:
        return None, f"gigatoken does not take this tokenizer: {str(error).splitlines()[0]}"


def check_parity(encoder: Encoder, texts: Sequence[str]) -> Encoder:
    """Return the encoder, or the reference engine when the fast one encodes one of these texts differently."""
    if encoder.fast is None:
        return encoder
    fast, reference = _encode_fast(encoder, texts), _encode_reference(encoder, texts)
    for text, ours, theirs in zip(texts, fast, reference, strict=True):
        if not np.array_equal(ours, theirs):
            reason = f"gigatoken differs from tokenizers on {text[:40]!r}"
            log.warning("%s: encoding with tokenizers, which is slower", reason)
            return Encoder(REFERENCE, reason, encoder.reference)
    return encoder


def encode_texts(encoder: Encoder, texts: Sequence[str]) -> list[Ids]:
    """Return the ids of each text. Joined and decoded they are its UTF-8 bytes; none is a special token's.

    A batch that the fast engine does not give back byte for byte is encoded by the reference.
    """
    if encoder.fast is None or not texts:
        return _encode_reference(encoder, texts)
    encoded = _encode_fast(encoder, texts)
    if encoder.fast.decode(np.concatenate(encoded)) == "".join(texts).encode():
        return encoded
    log.warning("gigatoken lost bytes in a batch of %d texts: encoding it with tokenizers", len(texts))
    return _encode_reference(encoder, texts)


def _encode_fast(encoder: Encoder, texts: Sequence[str]) -> list[Ids]:
    # One thread: callers are Spark workers, one a core, and a forked child must not touch a thread pool.
    rows = encoder.fast.encode_batch([text.encode() for text in texts], parallel=False).layout
    offsets, ids = np.asarray(rows.offsets.data), np.asarray(rows.content.data, dtype=np.uint32)
    return [ids[start:end] for start, end in itertools.pairwise(offsets)]


def _encode_reference(encoder: Encoder, texts: Sequence[str]) -> list[Ids]:
    rows = encoder.reference.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(row.ids, dtype=np.uint32) for row in rows]


def decode_bytes(table: Sequence[bytes], ids: Sequence[int] | Ids) -> bytes:
    """Return the bytes that ids stand for, by the table of ``vocabulary.token_bytes``."""
    return b"".join(table[index] for index in ids)
