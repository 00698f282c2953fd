"""Which character set the bytes of a source file are in, when they are not UTF-8.

Owns: the candidate codecs, and how sure one has to be. Does not own: how plausible the text is that a codec makes of
the bytes (letter_pairs.py, ideographs.py), byte order marks, cookies, limits and the order of the checks (decode.py).

Detectors made for prose take the ASCII of a program for evidence and miss a file with two comments in it
(docs/decisions/0061-charset-detection-by-hand.md). Here only the characters outside ASCII count: every candidate pays
for each of them, and the cheapest text wins, if it is cheap enough and the next one is clearly dearer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daybreak_data.text import ideographs, letter_pairs


@dataclass(frozen=True)
class CharsetCandidate:
    """A codec, the script that prices its text and what is added before the first character: how seldom it is used."""

    codec: str
    script: str
    handicap: float = 0.0


CANDIDATES = (
    CharsetCandidate("cp1252", "latin"),
    CharsetCandidate("gb18030", "simplified"),
    CharsetCandidate("big5hkscs", "traditional", 1.0),
    CharsetCandidate("cp932", "japanese"),
    CharsetCandidate("euc_jp", "japanese"),
    CharsetCandidate("euc_kr", "korean", 1.0),
    CharsetCandidate("cp949", "korean", 1.5),
    CharsetCandidate("cp1251", "cyrillic", 3.0),
    CharsetCandidate("koi8_r", "cyrillic", 4.0),
    CharsetCandidate("koi8_u", "cyrillic", 4.5),
    CharsetCandidate("cp1250", "latin", 2.5),
    CharsetCandidate("iso8859_2", "latin", 3.0),
    CharsetCandidate("cp1254", "latin", 2.5),
    CharsetCandidate("iso8859_9", "latin", 3.0),
    CharsetCandidate("cp1257", "latin", 3.5),
    CharsetCandidate("iso8859_13", "latin", 4.0),
    CharsetCandidate("iso8859_15", "latin", 2.5),
    CharsetCandidate("cp1253", "greek", 4.0),
    CharsetCandidate("iso8859_7", "greek", 4.5),
    CharsetCandidate("cp1255", "hebrew", 4.0),
    CharsetCandidate("iso8859_8", "hebrew", 4.5),
    CharsetCandidate("cp1256", "arabic", 4.5),
    CharsetCandidate("iso8859_6", "arabic", 5.0),
    CharsetCandidate("cp874", "thai", 4.0),
    CharsetCandidate("cp1258", "vietnamese", 4.0),
    CharsetCandidate("cp866", "cyrillic", 4.5),
    CharsetCandidate("cp855", "cyrillic", 7.0),
    CharsetCandidate("iso8859_5", "cyrillic", 6.0),
    CharsetCandidate("mac_cyrillic", "cyrillic", 7.5),
    CharsetCandidate("cp437", "latin", 2.5),
    CharsetCandidate("cp850", "latin", 2.5),
    CharsetCandidate("cp852", "latin", 3.5),
    CharsetCandidate("cp857", "latin", 4.0),
    CharsetCandidate("cp737", "greek", 7.0),
    CharsetCandidate("cp862", "hebrew", 7.0),
    CharsetCandidate("mac_roman", "latin", 6.0),
    CharsetCandidate("mac_greek", "greek", 7.0),
    CharsetCandidate("mac_latin2", "latin", 7.0),
    CharsetCandidate("mac_turkish", "latin", 7.0),
    CharsetCandidate("johab", "korean", 4.0),
    CharsetCandidate("euc_jis_2004", "japanese", 6.0),
    CharsetCandidate("latin_1", "latin", 2.0),
)
TOO_DEAR_IDEOGRAPHS = 9.5
"""Nats a character above which no candidate is believed (alphabets: letter_pairs.dearest)."""
SURE = 2.0
"""Nats by which the next text in the same script must be dearer: e^2, seven times less likely."""
SURE_OF_SCRIPT, SURE_OF_IDEOGRAPHS, SURE_SHARE = 3.0, 8.0, 0.22
"""The same for the next text in another script: also as a share of the price, since all of its characters differ."""
COMMON = 3.0
"""Handicap above which a single letter is no evidence: it is more likely one of a common set, wrongly priced."""
_RAISED = b"\xb2\xb3\xb9"
"""Raised numbers, which stand behind something: alone they may be pieces of a frame in a set of DOS."""
FEW = 3
"""Characters below which Iceland's own letters are no evidence."""
# 25 °C, 3 µs, ± 2, mm², © 2004: signs beside what they belong to have one place in all sets of Windows and ISO.
_SIGN = re.compile(
    rb"(?<=[0-9)\]])[ ]?\xb0(?![A-Za-z\x80-\xff][A-Za-z\x80-\xff])|(?<=[/(\[ ])\xb0(?=[CFK]\b)"
    rb"|(?<=[0-9][dfgi])\xb0(?=[CFK]\b)"
    rb"|(?<=[0-9 /(\[.*])\xb5(?=(?:[smAVFHWTglN]|Sv|Gy|sec|Pa|Hz|C)\b)|\xb1(?=[ ]?[0-9.])|(?<=[0-9])[ ]?\xb1"
    rb"|(?<=[0-9)\]])[\xb2\xb3](?![A-Za-z\x80-\xff])|(?<=\b[a-zA-Z])\xb2(?![A-Za-z\x80-\xff])|(?<=\b[ckmdCKMD]m)[\xb2\xb3](?![A-Za-z\x80-\xff])"
    rb"|\xa9(?=[ ]?(?:\(?[Cc]\)? ?)?(?:19|20)[0-9]{2})|(?<=[Cc]opyright )\xa9(?=[ ])|(?<=\((?:[Cc]|[Rr])\) )\xa9"
    rb"|(?<=[A-Za-z])\xae(?![A-Za-z\x80-\xff])|\xa7(?=[ ]?[0-9])"
)
_ASCII = bytes(range(0x80))
_FORBIDDEN = frozenset(("Cc", "Cn", "Co", "Cs"))
"""Controls, unassigned code points, private use, surrogates: no author wrote them."""


def guess_codec(data: bytes) -> tuple[str, str] | None:
    """Return (codec, text) of the most plausible candidate, or None if none is plausible or two are.

    The codec decodes strictly and encodes the text back to the same bytes.
    """
    rest = _SIGN.sub(b"", data).translate(None, _ASCII)
    if not rest:
        return "cp1252", data.decode("cp1252")
    if not rest.translate(None, _RAISED):
        return None
    ranked = sorted(_priced(data), key=lambda found: found.price)
    if not ranked:
        return None
    best = ranked[0]
    if best.candidate.handicap > COMMON and len({sign for sign in best.text if sign > "\x7f"}) == 1:
        return None
    if _is_of_islands(best):
        return None
    sure = all(
        rival.price - best.price >= _margin(best, rival) for rival in ranked if rival.text != best.text
    )
    return (best.candidate.codec, best.text) if sure else None


def _is_of_islands(best: _Priced) -> bool:
    """Tell whether all that was found are Iceland's own letters, in whose places Turkish has its own."""
    signs = [sign for sign in best.text if sign > "\x7f"]
    return best.candidate.script == "latin" and len(signs) < FEW and set(signs) <= set("ÐÝÞðýþ")


@dataclass(frozen=True)
class _Priced:
    price: float
    candidate: CharsetCandidate
    text: str


def _margin(best: _Priced, rival: _Priced) -> float:
    """How much dearer a rival must be for the best text to be believed."""
    if rival.candidate.script == best.candidate.script:
        return SURE
    least = SURE_OF_SCRIPT if best.candidate.script in letter_pairs.SCRIPTS else SURE_OF_IDEOGRAPHS
    return max(least, SURE_SHARE * best.price)


def is_writable(text: str) -> bool:
    """Tell whether a text has none of the characters that only a wrong character set brings about."""
    return not any(unicodedata.category(sign) in _FORBIDDEN for sign in set(text) if sign > "\x7f")


def _priced(data: bytes) -> Iterator[_Priced]:
    for candidate in CANDIDATES:
        text = there_and_back(data, candidate.codec)
        if text is None or not is_writable(text):
            continue
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        places = np.flatnonzero(codes > 0x7F)
        alphabetic = candidate.script in letter_pairs.SCRIPTS
        price = (letter_pairs if alphabetic else ideographs).cost(codes, places, candidate.script)
        most = (
            letter_pairs.dearest(codes, places)
            if alphabetic
            else letter_pairs.MOST_OF_ALL + TOO_DEAR_IDEOGRAPHS * len(places)
        )
        if price <= most:
            yield _Priced(price + candidate.handicap, candidate, text)


def there_and_back(data: bytes, codec: str) -> str | None:
    """The text, if encoding it again gives the same bytes: nothing was lost or guessed."""
    try:
        text = data.decode(codec)
        return text if text.encode(codec) == data and "\0" not in text else None
    except (UnicodeError, LookupError, ValueError):
        return None
