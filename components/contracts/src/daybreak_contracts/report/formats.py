"""Numbers, shares and names as a reader of a page sees them; the templates know them as filters."""

from __future__ import annotations

from jinja2.filters import do_filesizeformat
from markupsafe import Markup


def number(value: float) -> str:
    """Return a count for a person: ``12,345``."""
    return f"{value:,.0f}"


def counted(value: int, noun: str) -> str:
    """Return a count with its noun.

    >>> counted(1, "file"), counted(2000, "repository")
    ('1 file', '2,000 repositories')
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number(value)} {noun if value == 1 else plural}"


def size(value: float) -> str:
    """Return bytes for a person, in powers of ten.

    >>> [size(value) for value in (0, 1, 999, 12_345, 78_200_000, 3.2e9)]
    ['0 B', '1 B', '999 B', '12.3 kB', '78.2 MB', '3.2 GB']
    """
    return do_filesizeformat(value).replace("Bytes", "B").replace("Byte", "B")


def percent(share: float) -> str:
    """Return a share for a person: no ``0 %`` for what is there, no ``100 %`` for what is not all.

    >>> [percent(share) for share in (0, 0.0004, 0.031, 0.5, 0.9999, 1)]
    ['0 %', '<0.1 %', '3.1 %', '50 %', '>99.9 %', '100 %']
    """
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share < 0.001:
        return "<0.1 %"
    if share > 0.999:
        return ">99.9 %"
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def words(name: str) -> str:
    """Return a kebab-case name as words."""
    return name.replace("-", " ").replace("_", " ")


def breakable(path: str) -> Markup:
    """Return a path, escaped, that a browser may break behind slashes."""
    return Markup("/<wbr>").join(path.split("/"))
