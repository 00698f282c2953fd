"""The search: one automaton over the whole text, then only the rules that can match.

Owns the order and the list of finders. Knows no pattern.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from daybreak_data.personal_data import addresses, assignments, emails
from daybreak_data.personal_data.finding import Detection, Span, encode, to_findings, without_overlaps
from daybreak_data.personal_data.key_rules import KEY_RULES
from daybreak_data.personal_data.keys import find_formed_keys
from daybreak_data.personal_data.patterns import Gates

CODE_VERSION = 7  # part of the digest of every step that redacts

MAX_ROUNDS = 4  # two are enough for all but texts made to defeat this

Finder = Callable[[bytes, str], Iterator[Span]]


@functools.cache
def _finders() -> tuple[Gates, tuple[Finder, ...]]:
    heads: list[str] = [emails.HEAD, addresses.HEAD_V4, addresses.HEAD_V6, assignments.HEAD]
    finders: list[Finder] = [
        lambda data, path: emails.find_emails(data),
        addresses.find_ipv4,
        lambda data, path: addresses.find_ipv6(data),
        assignments.find_assigned_secrets,
    ]
    for rule in KEY_RULES:
        heads.append(rule.head)
        finders.append(lambda data, path, rule=rule: find_formed_keys(data, rule))  # type: ignore[misc]
    return Gates(heads), tuple(finders)


def find_personal_data(text: str, path: str) -> list[Detection]:
    """Return what is personal in ``text``: sorted, without overlaps, offsets in characters.

    ``path`` only tells the kind of file (a lock file is full of hashes, ``.env`` has values without quotes).
    Linear in the length of the text, whatever it holds.
    """
    data = encode(text)
    spans = _find(data, path)
    for _ in range(MAX_ROUNDS if any(span.kind != "ipAddress" for span in spans) else 0):
        # A match may have eaten the head of the next one: look again at the text as it will be.
        merged = without_overlaps([*spans, *_find(_masked(data, spans), path)])
        if merged == spans:
            break
        spans = merged
    return to_findings(text, data, spans)


def _find(data: bytes, path: str) -> list[Span]:
    gates, finders = _finders()
    return without_overlaps(span for index in gates.open_for(data) for span in finders[index](data, path))


def _masked(data: bytes, spans: list[Span]) -> bytes:
    """Put stand-ins of the same length, with the edges of ``<KEY>``, in the place of keys and emails."""
    masked = bytearray(data)
    for span in spans:
        if span.kind != "ipAddress":
            masked[span.start : span.end] = b"<" + bytes(span.end - span.start - 2) + b">"
    return bytes(masked)
