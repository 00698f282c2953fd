"""Email addresses in code: which ``x@y`` is a mail address.

Owns the pattern, its neighbourhood rules and the top-level domains. Left alone on purpose: the domains that
RFC 2606 and RFC 6761 reserve for examples, user information in URLs, and remotes such as ``git@host:path``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from daybreak_data.personal_data.finding import Span
from daybreak_data.personal_data.patterns import matches
from daybreak_data.personal_data.top_level_domains import TOP_LEVEL_DOMAINS

# Letters with marks and of other alphabets, as whole UTF-8 characters: ä to ɏ, Greek, Cyrillic; not × and ÷.
_LETTER = r"(?:\xc3[\x80-\x96\x98-\xb6\xb8-\xbf]|[\xc4-\xc9\xce-\xd3][\x80-\xbf])"
_NAME = rf"(?:[A-Za-z0-9\-]|{_LETTER})"
HEAD = rf"(?:[A-Za-z0-9_+\-]|{_LETTER})(?:@|%40){_NAME}+\.(?:[A-Za-z0-9]|{_LETTER})"
# RFC 5321 atoms without the exotic marks, RFC 6531 letters; lengths are checked after the match (RFC 5321 4.5.3.1).
_HOST = rf"(?:[A-Za-z0-9]|{_LETTER}){_NAME}*(?:\.{_NAME}+)*"
_PATTERN = rf"(?:[A-Za-z0-9_.%+\-]|{_LETTER})+(?:@|%40){_HOST}\.[A-Za-z]{{2,24}}"
MAX_LOCAL = 64
MAX_DOMAIN = 253
_WINDOW = 80

_RESERVED_LABELS = frozenset({"example", "test", "invalid", "localhost", "local", "internal", "lan"})
_RESERVED_DOMAINS = ("example.com", "example.net", "example.org", "example.edu")
_REMOTE_USERS = frozenset({"git", "hg", "svn", "ssh", "root", "ubuntu", "ec2-user"})
# Nobody's mailbox is git@ a forge, also where prose leaves out the path.
_FORGE = re.compile(r"(?i)(?:\A|\.)(?:github|gitlab|bitbucket|gitee|gitea|codeberg|codecommit)\b")
# Owners of SSH algorithm names, which have the form of addresses (RFC 4251 section 6).
_PROTOCOL_DOMAINS = frozenset({"openssh.com", "libssh.org"})
_ALGORITHM = re.compile(
    r"(?:rijndael|aes\d*|chacha20|hmac|umac|zlib|kex|sntrup\w+|curve\d+|ecdh|diffie|ssh|sk|hostkeys|posix|fsync|limits)-[\w-]+"
)
"""What SSH's own names begin with, whoever's the domain (rijndael-cbc@lysator.liu.se)."""
# Kotlin labels and keywords before an annotation.
_NOT_A_NAME = frozenset({"this", "super", "return", "break", "continue"})
# What escapes leave before a name: the n of \n, \u003c, %3C, the 3D of quoted-printable.
_ESCAPE_AFTER_BACKSLASH = re.compile(r"[abfnrtv](?=.)|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{3}")
_PERCENT_ESCAPES = re.compile(r".*%[0-9A-Fa-f]{2}", re.DOTALL)
# user%04d@host.de, {name}@host.de and $name@host.de are made into addresses when they are used.
_FORMAT = re.compile(r"%[-+#0]?[0-9]*(?:\.[0-9]+)?[dsiux](?![A-Za-z])")
_TEMPLATE_EDGES = frozenset((b"}", b"$"))
_USER_INFORMATION = re.compile(rb"(?:^|[^/])//[^\s/\"'<>]*$")
_MESSAGE = re.compile(
    rb"(?i)(?:message|content)-?id(?:field)?\b[^\n@]*<$|\b(?:in-reply-to|references):[^\n]*<$"
)
_LOGIN = re.compile(rb"(?i)\bssh(?::[ \t]*[\"']?|[ \t](?:[^\n@|;]*[ \t])?)$")
# The left side of what programs number messages by (RFC 5322 3.6.4): no mailbox is called so.
_NUMBERED = re.compile(
    r"(?=[0-9.]*[0-9]{8})[0-9]+(?:\.[0-9]+)+|[0-9]{12,14}\.\w+|[0-9a-fA-F]{24,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)
_REMOTE_PATH = re.compile(rb":(?:[/~$]|[\w.\-]+/)")
# Scale factors of image names: icon@2x.png, icon@1.5x.
_SCALE = re.compile(r"[0-9.]+x\b")


def find_emails(data: bytes) -> Iterator[Span]:
    """Yield the addresses of ``data`` from left to right."""
    for match in matches(_PATTERN, data):
        start, end = match.span()
        value = data[start:end].decode("utf-8")
        local, _, domain = value.rpartition("@" if "@" in value else "%40")
        before = data[start - 1 : start] if start else b""
        if _FORMAT.search(local) or before in _TEMPLATE_EDGES:
            continue
        trimmed = _trim_local(local, before)
        if not trimmed or not _is_address(trimmed, domain):
            continue
        start += len(local[: len(local) - len(trimmed)].encode())
        if _is_elsewhere(data, start, end, trimmed):
            continue
        yield Span("email", start, end, "email")


def _trim_local(local: str, before: bytes) -> str:
    if before == b"\\":
        escape = _ESCAPE_AFTER_BACKSLASH.match(local)
        local = local[escape.end() :] if escape else local
    percent = _PERCENT_ESCAPES.match(local)
    local = local[percent.end() :] if percent else local
    return local.lstrip(".-+%")


def _is_address(local: str, domain: str) -> bool:
    if len(local) > MAX_LOCAL or len(domain) > MAX_DOMAIN or local.endswith(".") or ".." in local:
        return False
    if _ALGORITHM.fullmatch(local) or (local == "git" and _FORGE.search(domain)):
        return False
    if local.lower() in _NOT_A_NAME or _NUMBERED.fullmatch(local) or _SCALE.match(domain):
        return False
    labels = domain.lower().split(".")
    if labels[-1] not in TOP_LEVEL_DOMAINS:
        return False
    if any(not label or label[0] == "-" or label[-1] == "-" for label in labels):
        return False
    if labels[-2].isdigit() and (len(labels) > 2 or labels[-1] not in {"com", "net", "org", "cn"}):
        return False  # package@1.0.dev is a version, 163.com is a mail provider
    return domain.lower() not in _PROTOCOL_DOMAINS and not is_reserved(labels)


def is_reserved(labels: list[str]) -> bool:
    """Tell whether a domain can belong to nobody (RFC 2606, RFC 6761, RFC 6762)."""
    return bool(_RESERVED_LABELS & {labels[-1], labels[-2]}) or ".".join(labels[-2:]) in _RESERVED_DOMAINS


def _is_elsewhere(data: bytes, start: int, end: int, local: str) -> bool:
    """Tell whether the neighbourhood makes it something else: a call, a URL's user, a remote path."""
    after = data[end : end + _WINDOW]
    if after[:1] in {b"(", b"@"} or after[:2] in {b"::", b"[["} or after[:1].isalnum() or after[:1] == b"_":
        return True
    before = data[max(0, start - _WINDOW) : start]
    if _USER_INFORMATION.search(before) or _LOGIN.search(before) or _MESSAGE.search(before):
        return True
    if local.lower() in _REMOTE_USERS and after[:1] in {b":", b"/"}:
        return True
    return _REMOTE_PATH.match(after) is not None
