"""What the options of ``daybreak`` take, as people write it: a count, a size, a time, a price, a port, a site. Pure.

Each function is an argparse ``type``: it returns the value, or raises ArgumentTypeError with what would be right.
"""

from __future__ import annotations

import argparse
import math
import re

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "B": 3, "T": 4}
"""Of 1,000, and of 1,024 where a size says so: ``20B`` tokens are twenty billion, and so are ``20G``."""
_COUNT = re.compile(r"(\d+(?:\.\d*)?(?:e\+?\d{1,2})?) ?([KMGBT]?)", re.ASCII | re.IGNORECASE)
_GROUPED = re.compile(r"\d{1,3}([_,])\d{3}(?:\1\d{3})*|\d+(?:_\d+)*", re.ASCII)
_BYTES = re.compile(r"(\d+(?:\.\d+)?) ?(?:([KMGT])(i?)B?|B?)", re.ASCII | re.IGNORECASE)
_TIME = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII
)
_SECONDS = (86_400.0, 3600.0, 60.0, 1.0)
MAX_COUNT = 10**18


def positive(text: str) -> int:
    """Return a whole number from 1: ``7``, ``1_000``, ``20e9``, ``20B``.

    >>> positive("20B"), positive("1.5e9"), positive("20,000,000"), positive("64")
    (20000000000, 1500000000, 20000000, 64)
    """
    plain = re.sub("[_,]", "", text) if _GROUPED.fullmatch(text) else text
    found = _COUNT.fullmatch(plain)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be a whole number, as 64, 1_000, 20e9 or 20B, got {text}")
    value = float(found[1]) * 1000.0 ** _POWERS[found[2].upper()]
    if value > MAX_COUNT:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_COUNT:.0e}, got {text}")
    exact = int(plain) if plain.isdecimal() else round(value)
    if exact < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    if not math.isclose(value, exact, rel_tol=1e-12):
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text}")
    return exact


def not_negative(text: str) -> int:
    """Return a whole number from 0: a rank, or "as many as the machine carries"."""
    return 0 if text.strip("0") == "" and text else positive(text)


def numbers(text: str) -> tuple[int, ...]:
    """Return whole numbers from 1 with commas between, in order and once each: ``1,10``."""
    try:
        return tuple(sorted({positive(part.strip()) for part in text.split(",")}))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"must be numbers from 1, as 1,10, got {text}") from error


def price(text: str) -> float:
    """Return a price: a number above 0, in whatever currency."""
    value = _number(text)
    if value is None or value <= 0:
        raise argparse.ArgumentTypeError(f"must be a number above 0 without a currency, as 2.5, got {text}")
    return value


def duration(text: str) -> float:
    """Return the seconds of ``90``, ``90m``, ``24h``, ``1d12h``.

    >>> duration("24h"), duration("90"), duration("1h30m")
    (86400.0, 90.0, 5400.0)
    """
    found = _TIME.fullmatch(text.replace(" ", "").lower())
    value = (
        sum(float(part or 0) * unit for part, unit in zip(found.groups(), _SECONDS, strict=True))
        if found
        else 0
    )
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a duration, as 90s, 90m, 24h or 1d12h, got {text}")
    return value


def time_limit(text: str) -> float:
    """Return the seconds that a program may take: above 0, an hour at most."""
    value = duration(text)
    if value > 3600:
        raise argparse.ArgumentTypeError(f"must be at most 3600 seconds, got {text}")
    return value


def memory(text: str) -> int:
    """Return bytes: ``512MiB``, ``2Gi``, ``2GB`` (a thousand each), or a plain number.

    >>> memory("2GiB") == memory("2Gi") == 2 << 30, memory("2G") == memory("2GB") == 2_000_000_000
    (True, True)
    """
    found = _BYTES.fullmatch(text)
    value = 0.0
    if found is not None:
        value = float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[(found[2] or "").upper()]
    if not 1 <= value < MAX_COUNT:
        raise argparse.ArgumentTypeError(f"must be a size, as 512MiB or 2GiB, got {text}")
    return int(value)


def port(text: str) -> int:
    """Return a TCP port."""
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, got {text}")
    return value


def origin(text: str) -> str:
    """Return a web page's site, by the rule of the field `gateway.allowedOrigins`."""
    from daybreak_contracts.resources.fields import ORIGIN_PATTERN, PATTERNS_IN_WORDS

    if not re.fullmatch(ORIGIN_PATTERN, text):
        raise argparse.ArgumentTypeError(f"must be {PATTERNS_IN_WORDS[ORIGIN_PATTERN]}, got {text}")
    return text


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
