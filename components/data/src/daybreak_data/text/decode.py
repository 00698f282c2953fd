"""Bytes to text, or the reason why not.

Owns: the size limit and the order in which encodings are tried. Pure, and never raises for any bytes.
Does not own: how plausible a legacy character set is (charsets.py), Unicode with faults (damaged.py), line ends and
repair of mojibake (neither is done: a published repair step changed 3 of 1,907 valid files, see docs/thresholds.md).
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from daybreak_data.text import charsets, damaged
from daybreak_data.text.charsets import is_writable, there_and_back

LIMIT_BYTES = 10_000_000
"""The Stack v2 takes files below 10 MB (the_stack/2_download_files of bigcode-dataset)."""


@dataclass(frozen=True)
class Decoded:
    """The text without byte order mark, and the name of the codec."""

    text: str
    encoding: str


@dataclass(frozen=True)
class Undecodable:
    """``reason``: empty, too-large, binary or unknown-encoding."""

    reason: str


# The four-byte marks first: UTF-32-LE begins with the mark of UTF-16-LE.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# ISO 2022 announces itself: ESC $ designates a double-byte set. Nobody types that in UTF-8.
_ANNOUNCED = ((b"\x1b$)C", "iso2022_kr"), (b"\x1b$B", "iso2022_jp_2004"), (b"\x1b$@", "iso2022_jp_2004"))
_ISO_2022_JP = ("iso2022_jp", "iso2022_jp_1", "iso2022_jp_2004", "iso2022_jp_3", "iso2022_jp_ext")
_COOKIE = re.compile(rb"^[ \t\f]*(?:#|//|/\*|;|%|--|<!--)?.*?coding[:=][ \t]*([-\w.]+)", re.ASCII)
_HTML_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([-\w.]+)", re.I)
# What packs a few bytes has hardly a control among them.
_PACKED = re.compile(rb"BZh[1-9]1AY&SY|\x1f\x8b|\xfd7zXZ|\x28\xb5\x2f\xfd|PK\x03\x04|Rar!\x1a|7z\xbc\xaf")
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\x1b\x08\x1a")) + b"\x7f"
_MOST_CONTROLS = 0.01
"""Share of control bytes above which bytes that are not UTF-8 are no text."""


def decode(data: bytes) -> Decoded | Undecodable:
    """Text of a file: byte order mark, UTF-8, declared encoding, damaged UTF-8, most plausible charset, in this order.

    A valid UTF-8 file is never changed, except that a byte order mark is taken off its front and a stray NUL
    replaced. (Pure 7-bit bytes that designate an ISO 2022 double-byte set are ISO 2022, not UTF-8.)
    """
    if not data:
        return Undecodable("empty")
    if len(data) > LIMIT_BYTES:
        return Undecodable("too-large")
    marked = _by_mark(data)
    if marked is not None:
        return marked
    if b"\0" in data:
        return _with_nuls(data)
    announced = _by_announcement(data)
    if announced is not None:
        return announced
    text = _strict(data, "utf-8")
    if text is not None:
        return Decoded(text, "utf-8")
    return _not_unicode(data)


def _by_mark(data: bytes) -> Decoded | Undecodable | None:
    if data.startswith(codecs.BOM_UTF8):
        text = _strict(data[3:], "utf-8")
        return _no_nul(text, "utf-8-sig") if text is not None else None
    for mark, encoding in _MARKS:
        if not data.startswith(mark):
            continue
        text = _strict(data[len(mark) :], encoding)
        if text is not None and "\0" not in text:
            return _no_nul(text, encoding)
    return None


def _no_nul(text: str, encoding: str) -> Decoded | Undecodable:
    if not text:
        return Undecodable("empty")
    return Undecodable("binary") if "\0" in text else Decoded(text, encoding)


def _by_announcement(data: bytes) -> Decoded | None:
    if b"\x1b$" not in data or not data.isascii():
        return None
    for announcement, encoding in _ANNOUNCED:
        if announcement not in data:
            continue
        family = (encoding,) if encoding == "iso2022_kr" else _ISO_2022_JP
        for member in family:
            text = there_and_back(data, member)
            if text is not None and not text.isascii() and "\x1b" not in text:
                return Decoded(text, member)
    return None


def _with_nuls(data: bytes) -> Decoded | Undecodable:
    unmarked = damaged.unmarked_utf16(data)
    if unmarked is not None:
        return Decoded(unmarked[1], unmarked[0])
    text = damaged.without_stray_nuls(data)
    return Undecodable("binary") if text is None else Decoded(text, damaged.REPLACED)


def _not_unicode(data: bytes) -> Decoded | Undecodable:
    mainframe = damaged.ebcdic(data)
    if mainframe is not None:
        return Decoded(mainframe[1], mainframe[0])
    if _PACKED.match(data) or len(data.translate(None, _CONTROLS)) < len(data) * (1 - _MOST_CONTROLS):
        return Undecodable("binary")
    paired = damaged.surrogates_in_utf8(data)
    if paired is not None:
        return Decoded(paired, "cesu-8")
    declared = _declared(data)
    text = there_and_back(data, declared) if declared is not None else None
    if declared is not None and text is not None and is_writable(text):
        return Decoded(text, declared)
    text = damaged.mostly_utf8(data)
    if text is not None:
        return Decoded(text, damaged.REPLACED)
    guess = charsets.guess_codec(data)
    if guess is not None and damaged.is_full_of_utf8(data, guess[0]):
        guess = None
    return Undecodable("unknown-encoding") if guess is None else Decoded(guess[1], guess[0])


def _declared(data: bytes) -> str | None:
    """The codec of a PEP 263 cookie in the first two lines, or of an HTML or XML declaration."""
    found = next((m for m in map(_COOKIE.match, data[:1024].split(b"\n", 2)[:2]) if m), None)
    found = found or _HTML_CHARSET.search(data[:1024])
    if found is None:
        return None
    try:
        info = codecs.lookup(found.group(1).decode("ascii"))
    except (LookupError, ValueError):
        return None
    # rot13, zlib and their like are no character sets; a cookie that says UTF-8 was already wrong.
    if not info._is_text_encoding or info.name in _NO_CHARSETS:
        return None
    return _MEANT.get(info.name, info.name)


# What the label means in practice (WHATWG Encoding Standard, names and labels): each holds the other one.
_MEANT = {"shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "tis-620": "cp874"}
_NO_CHARSETS = frozenset(
    {"utf-8", "utf-8-sig", "utf-7", "idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}
)


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeError:
        return None
