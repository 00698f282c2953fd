"""What stands in the place of personal data.

Owns the replacements: StarCoder's words for emails and keys, in brackets that the language does not read, and for
addresses private ones, so that code still parses. The same value has the same replacement within a file, and none can
be turned back.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daybreak_contracts.resources.run import Handling, PersonalData
from daybreak_data.personal_data.finding import Detection, Kind


@dataclass(frozen=True)
class StandIns:
    """What stands for an email and for a key; addresses stay addresses."""

    email: str
    key: str


ANGLED = StandIns("<EMAIL>", "<KEY>")
SQUARE = StandIns("[EMAIL]", "[KEY]")
BARE = StandIns("EMAIL", "KEY")
"""StarCoder's spelling where it is text; without angles where these are syntax; as a name where a bracket is too."""
_DOCUMENTS = ("html", "xml", "svg", "maven-pom", "xml-property-list", "xslt", "wsdl", "vue", "svelte")
_MARKUP = frozenset((*_DOCUMENTS, "tsx", "jsx", "javascript", "shell"))  # any JavaScript may hold JSX
# The n-th distinct address of a file: n counts up, nothing of the address goes in (a hash of an IPv4
# address is undone by trying all of them). Private ranges of RFC 1918 and RFC 4193.
_NUM_V4 = (1 << 20) - 2
_NUM_V6 = 65535
_OWN_PRIVATE = re.compile(r"172(?:\.[0-9]{1,3}){3}|fd00:da7a::[0-9a-f]{1,4}")


@dataclass(frozen=True)
class Redacted:
    """The text after replacement and the findings (offsets in the original text) that were replaced."""

    text: str
    findings: tuple[Detection, ...]


def handling_of(kind: Kind, handling: PersonalData) -> Handling:
    """What the manifest asks for a kind of finding."""
    if kind == "email":
        return handling.emails
    return handling.ip_addresses if kind == "ipAddress" else handling.keys


def must_drop(findings: Sequence[Detection], handling: PersonalData) -> bool:
    """Tell whether the manifest asks to drop the file for one of the findings."""
    return any(handling_of(finding.kind, handling) == "Drop" for finding in findings)


def stand_ins_for(dialect: str | None) -> tuple[StandIns, ...]:
    """Return the stand-ins for a language, best first; the next one is for where the first is no syntax."""
    return (SQUARE, ANGLED, BARE) if dialect in _MARKUP else (ANGLED, SQUARE, BARE)


def redact(
    text: str, findings: Sequence[Detection], handling: PersonalData, stand_ins: StandIns = ANGLED
) -> Redacted:
    """Replace what is to be redacted; findings of kinds that are kept stay as they are."""
    chosen = tuple(f for f in findings if handling_of(f.kind, handling) == "Redact")
    replacements: dict[tuple[Kind, str], str] = {}
    taken = set(_OWN_PRIVATE.findall(text)) if chosen else set()
    next_v4, next_v6 = _fresh(taken, _private_v4, _NUM_V4), _fresh(taken, _private_v6, _NUM_V6)
    pieces: list[str] = []
    position = 0
    for finding in chosen:
        known = replacements.get((finding.kind, finding.value))
        if known is None:
            known = _replacement(finding, stand_ins, next_v4, next_v6)
            replacements[finding.kind, finding.value] = known
        pieces += [text[position : finding.start], known]
        position = finding.end
    pieces.append(text[position:])
    return Redacted("".join(pieces), chosen)


def _replacement(
    finding: Detection, stand_ins: StandIns, next_v4: Callable[[], str], next_v6: Callable[[], str]
) -> str:
    if finding.kind == "email":
        return stand_ins.email
    if finding.kind == "key":
        return stand_ins.key
    return next_v6() if ":" in finding.value else next_v4()


def _private_v4(index: int) -> str:
    index = index % _NUM_V4 + 1
    return f"172.{16 + (index >> 16)}.{index >> 8 & 255}.{index & 255}"


def _private_v6(index: int) -> str:
    return f"fd00:da7a::{index % _NUM_V6 + 1:x}"


def _fresh(taken: set[str], make: Callable[[int], str], num: int) -> Callable[[], str]:
    """Count through addresses and skip those that the file already uses for its own private machines."""
    free = (make(index) for index in range(num) if make(index) not in taken)
    again = itertools.count()  # more distinct addresses than private ones: begin anew
    return lambda: next(free, None) or make(next(again))
