"""Write text/letter_pairs.json of the data room: how often one letter follows another, by language.

Counted in Django's translations (BSD-3-Clause), whose gettext files lie in its wheel. Only pairs with a letter outside
ASCII are written: the others are the same bytes in every character set. Run it in an environment with Django:

    uv run --no-project --with django==5.2.8 python letter_pairs.py > letter_pairs.json
"""

from __future__ import annotations

import collections
import gettext
import itertools
import json
import math
import pathlib
import re
import sys
import unicodedata

import django

LANGUAGES = (
    "ar be bg ca cs da de el es et fa fi fr ga gl he hr hu is it lt lv mk nb nl pl pt ro ru sk sl sq sr sv th"
    " tr uk vi af fy"
)
DEAREST = 5.5  # nats; what is rarer is priced by its letter alone
_FORMAT = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{[\w.]*\}|<[^>]*>|&\w+;|https?://\S+")


def texts(language: str) -> list[str]:
    """All translated messages of a language."""
    root = pathlib.Path(django.__file__).parent
    found: list[str] = []
    for path in sorted(root.glob(f"**/locale/{language}/LC_MESSAGES/*.mo")):
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog
        found += [value for key, value in catalog.items() if key and isinstance(value, str)]
    return [_FORMAT.sub(" ", text) for text in found]


def kana(messages: list[str]) -> list[str]:
    """What stands in kana, in half-width forms, as old terminals and fixed columns have it."""
    words = re.findall(r"[\u3041-\u3096\u30a1-\u30fc]{2,}", " ".join(messages))
    katakana = {code: code + 0x60 for code in range(0x3041, 0x3097)}
    half = {unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF61, 0xFFA0)}
    half |= {"\u3099": "\uff9e", "\u309a": "\uff9f"}
    spelled = [unicodedata.normalize("NFD", word.translate(katakana)) for word in words]
    return ["".join(half.get(sign, sign) for sign in word) for word in spelled]


def symbol(sign: str) -> str:
    """Letters and marks of letters as they are, everything else as a blank."""
    sign = sign.lower()
    return sign if len(sign) == 1 and unicodedata.category(sign)[0] in "LM" else " "


def prices(messages: list[str]) -> dict[str, dict[str, str]]:
    """Tenths of a nat, in steps of half a nat, to the pairs and to the letters that cost so much."""
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    firsts: collections.Counter[str] = collections.Counter()
    for message in messages:
        signs = [" ", *map(symbol, unicodedata.normalize("NFC", message)), " "]
        for pair in itertools.pairwise(signs):
            pairs[pair] += 1
            firsts[pair[0]] += 1
    total = sum(firsts.values())
    of_pairs: dict[str, list[str]] = collections.defaultdict(list)
    for (first, second), count in pairs.items():
        price = -math.log(count / firsts[first])
        if (first + second).isascii() or price > DEAREST or count < 2:
            continue
        of_pairs[str(round(price * 2) * 5)].append(first + second)
    of_letters: dict[str, list[str]] = collections.defaultdict(list)
    for letter, count in firsts.items():
        if not letter.isascii() and count > 1:
            of_letters[str(round(-math.log(count / total) * 2) * 5)].append(letter)
    ordered = sorted(of_pairs.items(), key=lambda item: int(item[0]))
    letters = sorted(of_letters.items(), key=lambda item: int(item[0]))
    return {
        "pairs": {price: "".join(sorted(found)) for price, found in ordered},
        "letters": {price: "".join(sorted(found)) for price, found in letters},
    }


def main() -> None:
    """Print the file."""
    table = {language: prices(texts(language)) for language in re.findall(r"\w+", LANGUAGES)}
    table["kana"] = prices(kana(texts("ja")))
    version = ".".join(map(str, django.VERSION[:3]))
    source = (
        f"letter pairs counted in the translations of Django {version} (BSD-3-Clause), by letter_pairs.py"
    )
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(table[key], ensure_ascii=False)}" for key in table)
    sys.stdout.write("{\n" + f'"source": {json.dumps(source)},\n{lines}\n' + "}\n")


if __name__ == "__main__":
    main()
