"""Texts that are Unicode, but not quite: bad bytes in UTF-8, UTF-8 of surrogates, UTF-16 without its mark, a stray NUL.

Owns how these are told from binary files and from old character sets. Pure. What cannot be read becomes U+FFFD, as the
Unicode standard recommends (section 3.9), so nothing is guessed. Also here: EBCDIC, which is no ASCII either.
"""

from __future__ import annotations

import re

from daybreak_data.text.charsets import is_writable, there_and_back

REPLACED = "utf-8-replaced"
"""The name of UTF-8 some of whose bytes were replaced; no codec has it, so nobody takes it for exact."""
MOST_NULS = 0.001
LEAST_TEXT = 16
"""Bytes from which one NUL may be an accident."""
LEAST_ZEROES = 0.3
"""Share of zeroes at every other byte from which a file is UTF-16: that many characters of programs are ASCII."""
_CONTROLS = bytes(set(range(1, 0x20)) - set(b"\t\n\v\f\r\x1b\x08\x1a")) + b"\x7f"
_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_LETTERS_ON_TOP = ("koi8", "cp125", "iso8859", "latin")
LEAST_VALID = 8
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_CUT = re.compile(rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z")
# Dashes and quotation marks are E2 80 xx; a converter that has no character for the last byte writes "?".
_LOST_QUOTE = re.compile(rb"\xe2\x80(?=\?)")
_HIGH = re.compile(rb"[\x80-\xff]")

_EBCDIC = ("cp037", "cp1140", "cp500", "cp273")
_EBCDIC_SPACE = 0x40
LEAST_SPACES, LEAST_LETTERS, LEAST_ASCII = 0.04, 0.4, 0.99


def mostly_utf8(data: bytes) -> str | None:
    """The text of UTF-8 with a few bad bytes, or cut inside its last character; None if it is something else.

    Most of the characters outside ASCII have to be valid: in an old character set two letters look like one of them
    by chance, and the next ones do not.
    """
    valid = len(_SEQUENCE.findall(data))
    rest = _SEQUENCE.sub(b"", data)
    if _CUT.search(rest) and valid and len(_HIGH.findall(_CUT.sub(b"", rest))) * 2 < valid:
        return data.decode("utf-8", "replace")
    bad = len(_HIGH.findall(rest))
    if (
        bad == len(_LOST_QUOTE.findall(rest)) * 2
    ):  # all that is bad is what a lossy converter left of quotation marks
        return data.decode("utf-8", "replace")
    if valid == 0 or bad * 2 > valid + 1:
        return None
    return data.decode("utf-8", "replace")


def is_full_of_utf8(data: bytes, codec: str) -> bool:
    """Whether so much is valid UTF-8 that no set of single bytes may be believed: a test of decoders has both.

    Only for sets whose letters lie above 0xBF, where hardly a pair of them looks like one of UTF-8.
    """
    if not codec.startswith(_LETTERS_ON_TOP):
        return False
    valid = len(_SEQUENCE.findall(data))
    return valid >= LEAST_VALID and valid * 4 >= len(_HIGH.findall(_SEQUENCE.sub(b"", data)))


def surrogates_in_utf8(data: bytes) -> str | None:
    """The text of CESU-8 (Unicode technical report 26): each half of a pair in three bytes, as Java has it."""
    if not _SURROGATES.search(data):
        return None
    try:
        return data.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeError:
        return None


def without_stray_nuls(data: bytes) -> str | None:
    """The text of valid UTF-8 in which hardly a byte is NUL and none is another control; each NUL is replaced."""
    count = data.count(0)
    if (
        len(data) < LEAST_TEXT
        or count > max(1, MOST_NULS * len(data))
        or data.translate(None, _CONTROLS) != data
    ):
        return None
    try:
        return data.decode("utf-8").replace("\0", "\ufffd")
    except UnicodeError:
        return None


def unmarked_utf16(data: bytes) -> tuple[str, str] | None:
    """(codec, text) of UTF-16 or UTF-32 without a mark: zeroes at every other byte, and nowhere else."""
    for codec, unit, zero in (
        ("utf-32-le", 4, 3),
        ("utf-32-be", 4, 0),
        ("utf-16-le", 2, 1),
        ("utf-16-be", 2, 0),
    ):
        if len(data) < 2 * unit or len(data) % unit:
            continue
        zeroes = data[zero::unit].count(0) / (len(data) // unit)
        if zeroes < (1.0 if unit == 4 or len(data) < LEAST_TEXT else LEAST_ZEROES):
            continue
        text = there_and_back(data, codec)
        if text is not None and is_writable(text) and text.translate(_NO_CONTROLS) == text:
            return codec, text
    return None


_NO_CONTROLS = dict.fromkeys(_CONTROLS)


def ebcdic(data: bytes) -> tuple[str, str] | None:
    """(codec, text) of a program in EBCDIC: its blank is ``@``, its letters lie above 0x80."""
    if len(data) < LEAST_TEXT or data.count(_EBCDIC_SPACE) < LEAST_SPACES * len(data):
        return None
    for codec in _EBCDIC:
        text = there_and_back(data, codec)
        if text is None:
            continue
        text = text.replace("\x85", "\n")  # 0x15, the new line of mainframes
        plain = sum(sign.isprintable() or sign in "\t\r\n" for sign in text if sign.isascii())
        letters = sum(sign.isalpha() for sign in text if sign.isascii())
        if plain >= LEAST_ASCII * len(text) and letters >= LEAST_LETTERS * len(text):
            return codec, text
    return None
