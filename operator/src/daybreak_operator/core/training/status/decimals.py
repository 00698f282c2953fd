"""Numbers as a status holds them: decimal text of bounded length. Owns the rounding."""

from __future__ import annotations

import math
from decimal import Decimal

DIGITS = 4
PLACES = Decimal("0.000001")
LARGEST = 999_999_999


def significant(value: float) -> str | None:
    """Return a number with four significant digits as plain text; None for what a status cannot hold.

    >>> significant(2.345678), significant(123456.7), significant(float("nan"))
    ('2.346', '123500', None)
    """
    if not math.isfinite(value) or abs(value) > LARGEST:
        return None
    rounded = Decimal(f"{value:.{DIGITS}g}").quantize(PLACES)
    return plain(rounded)


def exact(value: float) -> str | None:
    """Return a score to six places, as gates compare it; None for what a status cannot hold.

    >>> exact(0.15), exact(1.0)
    ('0.15', '1')
    """
    if not math.isfinite(value) or abs(value) > LARGEST:
        return None
    return plain(Decimal(repr(value)).quantize(PLACES))


def plain(value: Decimal) -> str:
    """Return a decimal without exponent and without zeros at its end."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text
