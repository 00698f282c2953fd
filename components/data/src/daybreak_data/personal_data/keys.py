"""Keys by their form: runs the rules of ``key_rules`` and throws out examples and stand-ins.

Owns the validation after a match. The formats themselves are data in ``key_rules``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator

from daybreak_data.personal_data.finding import Span
from daybreak_data.personal_data.key_rules import KeyRule
from daybreak_data.personal_data.patterns import matches
from daybreak_data.personal_data.randomness import (
    entropy,
    is_encoded_placeholder,
    is_placeholder,
    is_uuid,
    looks_generated,
    word_share,
)

# Stand-ins of manuals. Narrow on purpose: a real token may hold any three letters by chance.
_EXAMPLE = re.compile(
    r"(?i)example|placeholder|your[_-]|x{6}|\*{3}|\.{3}|0{8}|1{8}|a{8}|1234567890|abcdefgh|redacted"
)
# An access key id is sixteen capitals and digits: made up by hand, it may well count through the alphabet.
_EXAMPLE_OF_AN_ID = re.compile(r"EXAMPLE|SAMPLE|(.)\1{5}")
_LOWER_WORDS = re.compile(r"[a-z]+(?:(?:[_\-.;+@]|%[0-9A-Fa-f]{2})[a-z]+)*(?:%[0-9A-Fa-f]{2})*")
_COUNTED = re.compile(r"123456789/|1[a-z]2[a-z]3[a-z]4|abc(?:def)?123456")
"""A webhook's stand-in: teams and words that somebody counted up."""
_PUBLIC_NAME = re.compile(rb"(?i)pub|peer|verif|finger|thumb|hash|sha[0-9]|pin\w*$")
_NAMES, _NAME_BEFORE = re.compile(rb"[A-Za-z_][A-Za-z0-9_.\-]*"), 48
# What a parser of addresses is tested with: escaped controls, and options behind the password.
_TEST_OF_A_PARSER = re.compile(r"%[01][0-9A-Fa-f]|;[A-Za-z]+=")
_WRITTEN_END = re.compile(r"\\[nrt]|[\"',]")
_TYPED = frozenset(("url-password", "netrc-password", "curl-user", "mysql-password", "sshpass-password"))
"""Rules whose secret a person chose and typed: a word in small letters is a manual's."""


# _password = FocusNode(); of a program, where .npmrc ends its line.
_CODE_AFTER = frozenset((b"(", b";", b"[", b",", b")", b"<", b"?", b"!"))


def find_formed_keys(data: bytes, rule: KeyRule) -> Iterator[Span]:
    """Yield the keys of one format."""
    for match in matches(rule.pattern, data):
        start, end = match.span(1 if match.re.groups else 0)
        value = data[start:end].decode("latin-1")
        if rule.name == "netrc-password":  # in a program's string it ends with that
            value = _WRITTEN_END.split(value, maxsplit=1)[0] or value
            end = start + len(value)
        if rule.name == "symmetric-key" and _PUBLIC_NAME.search(_name_before(data, match.start(1))):
            continue
        if rule.name == "private-key" or _is_key(value, rule, data[end : end + 1]):
            yield Span("key", start, end, rule.name)


def _name_before(data: bytes, start: int) -> bytes:
    """The name that a value is given to."""
    names = _NAMES.findall(data[max(0, start - _NAME_BEFORE) : start].rsplit(b"\n", 1)[-1])
    return b"".join(names[-1:])


def _is_key(value: str, rule: KeyRule, after: bytes) -> bool:
    if rule.name not in _TYPED and (after.isalnum() or after == b"_"):
        return False
    if rule.name == "npmrc-credential" and after in _CODE_AFTER:
        return False
    example = _EXAMPLE_OF_AN_ID if rule.name == "aws-access-key-id" else _EXAMPLE
    if example.search(value) or _LOWER_WORDS.fullmatch(value) or entropy(value) < rule.min_entropy:
        return False
    if rule.name in _TYPED:
        return _is_password(value)
    if rule.name == "npmrc-credential":
        return not is_placeholder(value) and not is_uuid(value)
    if rule.name == "slack-webhook":
        return _COUNTED.search(value) is None
    if rule.name == "old-vault-token":  # the form of an attribute, too
        return looks_generated(value[2:])
    if rule.name == "json-web-token":
        return is_json(value.split(".", 1)[0])
    if rule.name == "authorization-header":
        stands_in = is_placeholder(value) or is_encoded_placeholder(value) or _has_plain_password(value)
        return not stands_in and not is_uuid(value) and word_share(value) < 0.5
    return True


def _is_password(value: str) -> bool:
    """Tell whether a typed password is one: no stand-in, no lower-case word such as ``tiger``."""
    return not (
        is_placeholder(value)
        or value.startswith(("$", "%", "{", ":", "<", "[", '"', "'"))
        or _TEST_OF_A_PARSER.search(value)
    )


def _has_plain_password(value: str) -> bool:
    """Tell whether the credentials of a Basic header (RFC 7617) end with a lower-case word."""
    try:
        user, _, password = base64.b64decode(value + "=" * (-len(value) % 4)).decode("ascii").partition(":")
    except ValueError:
        return False
    return user.isprintable() and _LOWER_WORDS.fullmatch(password) is not None


def is_json(segment: str) -> bool:
    """Tell whether a base64url segment holds a JSON object (RFC 7515 section 3)."""
    try:
        header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (binascii.Error, ValueError):
        return False
    return isinstance(header, dict)
