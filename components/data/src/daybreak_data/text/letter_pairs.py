"""How plausible a text in an alphabet is: what each letter costs behind the one before it, in the best language.

Owns: the model over letter_pairs.json (how it was counted: tests/bench/peer_scripts/letter_pairs.py), capitals, signs.
Does not own: Chinese, Japanese and Korean (ideographs.py), and which codec is tried (charsets.py).

Only characters outside ASCII and their neighbours are priced: the rest of a program is the same in every character
set. Costs are in nats, the negative logarithm of a probability.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]

SCRIPTS = {
    "latin": [
        "fr",
        "de",
        "es",
        "pt",
        "it",
        "ca",
        "nl",
        "da",
        "sv",
        "nb",
        "fi",
        "is",
        "et",
        "sq",
        "ga",
        "cs",
        "sk",
        "pl",
        "hu",
        "hr",
        "sl",
        "ro",
        "lt",
        "lv",
        "tr",
        "gl",
        "af",
        "fy",
    ],
    "vietnamese": ["vi"],
    "cyrillic": ["ru", "uk", "be", "bg", "sr", "mk"],
    "greek": ["el"],
    "hebrew": ["he"],
    "arabic": ["ar", "fa"],
    "thai": ["th"],
}
BEHIND_ANOTHER, DEAREST = 2.0, 13.0
"""Added to a letter's own price where the pair is rare; and the price of a letter that the language does not have."""
CAPITAL, SHOUTING = 2.0, 8.0
"""Added to a capital at the beginning of a word, and to one behind a small letter."""
MARK, SYMBOL, INSIDE, TOUCHING = 4.5, 9.0, 10.0, 6.5
"""Signs that prose and comments have, other signs; what is added to a sign between two letters, and to one that
touches a letter where it does not belong."""
MIXED = 7.0
"""Added to a letter that touches an ASCII letter in a script that does not mix with it."""
UNPAIRED = 4.0
"""Added for an opening quotation mark whose closing one is nowhere."""
BOX = 2.5
"""A piece of a frame beside another one, as in the banners of DOS programs."""
MOST_OF_ALL, MOST_OF_A_LETTER, MOST_OF_A_SIGN = 3.5, 11.0, 6.5
"""Nats up to which a text is believed: a letter is priced twice, with its neighbours on both sides."""
MOST_PLACES = 4096
"""More characters do not make the answer surer."""
_MARKS = "©®°·«»§±µ–—‘’“”„…€£×²³½¼™•¿¡¹ºª¶¥¢†¤№\xa0"
_JOINERS = "’·–—\xa0"
_BEFORE_LETTERS, _BEHIND_LETTERS = "«“„‘¿¡§£€№©\xa0–", "»”’…°™®©²³ªº\xa0"
_BLANK = ord(" ")


@dataclass(frozen=True)
class _Language:
    """Prices by the numbers of two letters; number 0 is everything that is no letter of the language."""

    number: npt.NDArray[np.int16]
    pairs: npt.NDArray[np.float32]


def cost(codes: Codes, places: npt.NDArray[np.intp], script: str) -> float:
    """The price of the characters at these places, in the language of the script that fits best."""
    if len(places) > MOST_PLACES:
        return cost(codes, places[:MOST_PLACES], script) * len(places) / MOST_PLACES
    of_signs, letters = _signs(codes, places, script)
    return of_signs + min(cost_in(language, codes, letters) for language in SCRIPTS[script])


def dearest(codes: Codes, places: npt.NDArray[np.intp]) -> float:
    """The price above which no text is believed: less for signs, which a wrong character set brings about first."""
    letters = int(_is_letter(codes[places]).sum())
    return MOST_OF_ALL + MOST_OF_A_LETTER * letters + MOST_OF_A_SIGN * (len(places) - letters)


def cost_in(language: str, codes: Codes, places: npt.NDArray[np.intp]) -> float:
    """The price of the letters at these places in one language: each behind its neighbour, and the one behind it."""
    if not len(places):
        return 0.0
    known = _language(language)
    padded = np.concatenate(([_BLANK], codes, [_BLANK]))
    small = known.number[np.minimum(padded, 0xFFFF)]
    own = known.pairs[small[places], small[places + 1]]
    follows = (padded[places + 2] <= 0x7F) | ~_is_letter(padded[places + 2])
    after = known.pairs[small[places + 1], small[places + 2]]
    return float(own.sum() + (after * follows).sum())


def _signs(codes: Codes, places: npt.NDArray[np.intp], script: str) -> tuple[float, npt.NDArray[np.intp]]:
    """The price of what is no letter, of capitals and of mixtures; and the places of the letters."""
    padded = np.concatenate(([_BLANK], codes, [_BLANK]))
    before, own, after = padded[places], codes[places], padded[places + 2]
    letter = _is_letter(own)
    left, right = _is_letter(before), _is_letter(after)
    prices = np.where(letter, 0.0, _sign_prices()[np.minimum(own, 0xFFFF)])
    prices = np.where(_is_frame(own) & _in_line(before, own, after), BOX, prices)
    prices = prices + INSIDE * (~letter & left & right & ~_is_one_of(own, _JOINERS))
    prices = prices + TOUCHING * (~letter & ~left & right & ~_is_one_of(own, _BEFORE_LETTERS))
    prices = prices + TOUCHING * (~letter & left & ~right & ~_is_one_of(own, _BEHIND_LETTERS))
    upper = _is_upper(own)
    prices = prices + np.where(
        upper, np.where(_is_lower(before), SHOUTING, CAPITAL * ~_is_upper(before)), 0.0
    )
    if script not in ("latin", "vietnamese"):
        prices = prices + MIXED * (letter & ((left & (before <= 0x7F)) | (right & (after <= 0x7F))))
    total = float(prices.sum())
    for pair in ("«»", "“”"):
        first, second = (bool((own == ord(sign)).any()) for sign in pair)
        total += UNPAIRED * (first != second)
    return total, places[letter]


def _is_one_of(codes: Codes, signs: str) -> npt.NDArray[np.bool_]:
    return np.isin(codes, np.array([ord(sign) for sign in signs], dtype=np.uint32))


def _is_letter(codes: Codes) -> npt.NDArray[np.bool_]:
    return np.asarray(_kinds()[np.minimum(codes, 0xFFFF)] > 0)


def _is_lower(codes: Codes) -> npt.NDArray[np.bool_]:
    return np.asarray(_kinds()[np.minimum(codes, 0xFFFF)] == 1)


def _is_upper(codes: Codes) -> npt.NDArray[np.bool_]:
    return np.asarray(_kinds()[np.minimum(codes, 0xFFFF)] == 2)


def _is_frame(codes: Codes) -> npt.NDArray[np.bool_]:
    return (codes >= 0x2500) & (codes < 0x25A0)


def _in_line(before: Codes, own: Codes, after: Codes) -> npt.NDArray[np.bool_]:
    """A frame repeats its lines; letters of another character set seldom stand twice."""
    lines = np.array([0x2500, 0x2550], dtype=np.uint32)
    return np.asarray((before == own) | (after == own) | np.isin(before, lines) | np.isin(after, lines))


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """0 no letter, 1 small, 2 capital, 3 a letter without case or a mark on one, for the alphabets."""
    kinds = np.zeros(0x10000, dtype=np.uint8)
    for code in [*range(0x2000), *range(0xFB00, 0xFE00), *range(0xFE70, 0xFF00), *range(0xFF66, 0xFFA0)]:
        category = unicodedata.category(chr(code))
        if category[0] in "LM":
            kinds[code] = {"Ll": 1, "Lu": 2}.get(category, 3)
    kinds[[0xAA, 0xBA]] = 0  # ordinal signs
    return kinds


@cache
def _sign_prices() -> npt.NDArray[np.float32]:
    prices = np.full(0x10000, SYMBOL, dtype=np.float32)
    prices[[ord(sign) for sign in _MARKS]] = MARK
    prices[0x80:0xA0] = DEAREST
    return prices


@cache
def _file() -> dict[str, dict[str, dict[str, str]]]:
    text = (resources.files("daybreak_data") / "text" / "letter_pairs.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, str]]] = json.loads(text)
    return found


@cache
def _language(name: str) -> _Language:
    entry = _file()[name]
    letters = {letter: int(price) / 10 for price, found in entry["letters"].items() for letter in found}
    pairs = {
        found[place : place + 2]: int(price) / 10
        for price, found in entry["pairs"].items()
        for place in range(0, len(found), 2)
    }
    alphabet = sorted(
        {sign for pair in pairs for sign in pair} | set(letters) | set("abcdefghijklmnopqrstuvwxyz")
    )
    alphabet = [" ", *(sign for sign in alphabet if sign != " ")]
    strange = len(alphabet)  # a letter outside ASCII that the language does not have
    number = np.where(_kinds() > 0, strange, 0).astype(np.int16)
    for index, sign in enumerate(alphabet):
        for form in {sign, sign.upper()}:
            if len(form) == 1:
                number[ord(form)] = index
    number[ord("İ")] = number[ord("i")]
    table = np.full((strange + 1, strange + 1), DEAREST, dtype=np.float32)
    table[:, 0] = BEHIND_ANOTHER + 3.0
    for index, sign in enumerate(alphabet):
        if sign in letters:
            table[:, index] = min(letters[sign] + BEHIND_ANOTHER, DEAREST)
        elif sign != " ":  # an ASCII letter behind one of the language: one of 26
            table[:, index] = BEHIND_ANOTHER + 4.0
    places = {sign: index for index, sign in enumerate(alphabet)}
    for pair, price in pairs.items():
        table[places[pair[0]], places[pair[1]]] = price
    return _Language(number, table)
