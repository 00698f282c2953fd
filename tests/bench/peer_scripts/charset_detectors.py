"""Detectors of character sets on real code with real translated comments, in ten encodings.

Writes the cases to a JSON file (its argument): {"cases": [{"charset", "comments", "text", "data" in base64}]}. Prints,
by detector, its version, its seconds of CPU, and whether it restored each case.
"""

import base64
import json
import random
import re
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import cchardet
import chardet
import charset_normalizer
import django

CHARSETS = {
    "ja": ("shift_jis", "euc_jp"),
    "zh_Hans": ("gb18030",),
    "zh_Hant": ("big5",),
    "ko": ("euc_kr",),
    "ru": ("cp1251", "koi8_r"),
    "pl": ("cp1250", "iso8859_2"),
    "de": ("cp1252",),
}
FILES, COMMENTS = 30, (1, 5, 20)


def sentences(locale: str) -> list[str]:
    """Django's messages in one language: what people write about software."""
    text = (Path(django.__file__).parent / "conf/locale" / locale / "LC_MESSAGES/django.po").read_text()
    found = re.findall(r'^msgstr(?:\[\d\])? "(.+)"$', text, re.MULTILINE)
    return sorted({message for message in found if not message.isascii() and "\\" not in message})


def code() -> list[list[str]]:
    """ASCII modules of the standard library that name no encoding of their own."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text() for path in paths if 2000 < path.stat().st_size < 20_000]
    fit = [text for text in texts if text.isascii() and "coding" not in text[:200]]
    return [text.splitlines() for text in random.Random(0).sample(fit, FILES)]


def cases() -> Iterator[tuple[str, int, str, bytes]]:
    draw = random.Random(1)
    for locale, charsets in CHARSETS.items():
        said = sentences(locale)
        for lines in code():
            for comments in COMMENTS:
                mixed = list(lines)
                for message in draw.sample(said, comments):
                    mixed.insert(draw.randrange(2, len(mixed)), f"# {message}")
                text = "\n".join(mixed)
                for charset in charsets:
                    try:
                        yield charset, comments, text, text.encode(charset)
                    except UnicodeEncodeError:
                        continue


def decoded(data: bytes, charset: str | None) -> str | None:
    try:
        return data.decode(charset or "ascii")
    except (UnicodeDecodeError, LookupError):
        return None


DETECTORS: dict[str, Callable[[bytes], str | None]] = {
    "chardet": lambda data: decoded(data, chardet.detect(data)["encoding"]),
    "faust-cchardet": lambda data: decoded(data, cchardet.detect(data)["encoding"]),
    "charset-normalizer": lambda data: str(charset_normalizer.from_bytes(data).best()),
}

made = list(cases())
rows = [
    {"charset": charset, "comments": comments, "text": text, "data": base64.b64encode(data).decode()}
    for charset, comments, text, data in made
]
Path(sys.argv[1]).write_text(json.dumps({"cases": rows}))
told = {}
for name, detect in DETECTORS.items():
    began = time.process_time()
    found = [detect(data) for _, _, _, data in made]
    seconds = time.process_time() - began
    right = [text == case[2] for text, case in zip(found, made, strict=True)]
    told[name] = {"version": metadata.version(name), "seconds": seconds, "right": right}
print(json.dumps(told))
