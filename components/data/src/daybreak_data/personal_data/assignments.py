"""Secrets without a form of their own: a telling name, an assignment, and a value that looks random.

Owns the pattern of such assignments and the signs that the value is a hash, an identifier or a stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from daybreak_data.personal_data.finding import Span
from daybreak_data.personal_data.lock_files import is_lock_file
from daybreak_data.personal_data.patterns import matches
from daybreak_data.personal_data.randomness import (
    is_code,
    is_encoded_placeholder,
    is_hex,
    is_placeholder,
    is_uuid,
    is_word_with_number,
    looks_chosen,
    looks_generated,
    word_share,
)

MIN_LENGTH = 8
MAX_LENGTH = 512
_WINDOW = 160

_NAMES = (
    r"(?:password|passwd|passwort|pwd|passphrase|secret|token|api[_\-]?key|apikey|access[_\-]?key|auth[_\-]?key"
    r"|private[_\-]?key|client[_\-]?key|signing[_\-]?key|(?:en|de)crypt(?:ion)?[_\-]?key|validation[_\-]?key|shared[_\-]?key|bind[_\-]?key|fernet[_\-]?key|consumer[_\-]?key|master[_\-]?key|account[_\-]?key"
    r"|service[_\-]?key|license[_\-]?key|credential|webhook[_\-]?key|jwt[_\-]?key|salt)"
)
# A type annotation between the name and its value: `: str =`, `: Optional[str] =`, ` string =`.
_TYPE = r"(?::?[ \t]{0,3}[A-Za-z_][A-Za-z_.\[\]|?]{0,30}[ \t]{0,3})?"
_SIGN = r"[ \t]{0,24}(?:=>|:=|[!=]==?|\?=|[:=,(])[ \t]{0,8}"
_NAME = rf"(?i:{_NAMES})[A-Za-z0-9_.\-]{{0,24}}[\"'`\])]{{0,2}}"
_QUOTED = rf"{_NAME}(?:{_SIGN}|{_TYPE}={{1}}[ \t]{{0,8}})[A-Za-z@$]{{0,2}}(?:\"([!#-~]+)\"|'([!-&(-~]+)'|`([!-_a-~]+)`)"
_DEFINED = rf"#define[ \t]+[A-Za-z0-9_]{{0,40}}{_NAME}[ \t]+\"([!#-~]+)\""
_ELEMENT = rf"{_NAME}>([!-;=?-~]+)</"
# A connection string, a command line, a header, a query; a value that stands in for a variable.
_INLINE = (
    r"(?i:;[ \t]?(?:password|pwd))[ \t]?=[ \t]?([!#-&(-:<-~]+)[;\"']"
    rf"|--[a-z\-]{{0,20}}{_NAME}[= ]([!#-&(-~]+)"
    rf"|(?i:x-[a-z\-]{{0,20}}(?:key|token|secret)): ([!#-&(-~]+)"
    rf"|[?&]{_NAME}=([A-Za-z0-9_.~+\-]+)"
    rf"|{_NAME}[ \t]?[:=][ \t]?[A-Za-z_.()\[\]\"']{{1,60}} ?(?:\|\||\?\?|or) ?[\"']([!#-&(-~]+)[\"']"
)
_LINE_START = r"(?:^|\n)[ \t]{0,40}(?:export |set |ENV |ARG |- )?[A-Za-z0-9_.\-]{0,40}"
_BARE = rf"{_LINE_START}{_NAME}[ \t]{{0,4}}[=:][ \t]{{0,4}}([!#-&*-~]+)"
HEAD = rf"{_NAME}{_TYPE}[ \t]{{0,24}}[=:,(!?>\"]|--[a-z\-]{{0,20}}{_NAME} "

_BARE_SUFFIXES = frozenset(
    {
        ".env",
        ".ini",
        ".cfg",
        ".conf",
        ".config",
        ".properties",
        ".yml",
        ".yaml",
        ".toml",
        ".sh",
        ".bash",
        ".zsh",
    }
    | {".tf", ".tfvars", ".txt", ".envrc"}
)
# pillar.example, config.yml.dist: settings to be copied.
_EXAMPLE = re.compile(r"\.(?:example|sample|dist|default|orig|bak)$")
_DOCUMENTS = frozenset({".md", ".mdx", ".markdown", ".rst", ".adoc", ".asciidoc"})
# A variable of the environment on a line of its own, as documents show the file that sets it.
_SHOWN = (
    r"(?:^|\n)[ \t]{0,40}(?:export |set |ENV |ARG |- )?(?:[A-Z0-9]+_)*"
    r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|SECRET_KEY)=([A-Za-z0-9+/_=\-]{16,512})"
)
_HASH_WORDS = re.compile(
    rb"(?i)sha[-_]?[0-9]|md5|hash|digest|checksum|integrity|hmac|commit|etag|fingerprint|crc|blob"
)
# ['DatabaseCredentials', 'S3StagingLocation']: the next name of a list, not what the first one is set to.
_IN_A_LIST = re.compile(rb"[\"'],[ \t]{0,8}[\"']$")
_NAME_OF_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[:/.][A-Za-z0-9]+)*")
# credentials.json="project-45e35d85.json": where the secret lies, not what it is.
_NAME_OF_FILE = re.compile(
    r"[\w./\-]+\.(?:json|pem|key|crt|cer|p12|pfx|jks|keystore|kubeconfig|ya?ml|properties)"
)
_NAMES_BEFORE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
# salt_minion_pkg_hash: 'sha256=...': the sum of a download, which says by what it was made.
_NAMED_HASH = re.compile(r"(?i)(?:md5|sha[-_]?[0-9]{1,3}(?:[-_][0-9]{3})?)[=:][0-9a-f]{32,128}")
_HASH_LENGTHS = frozenset({32, 40, 64, 96, 128})
# Beside a hash or the parameters of one; salts of an installation have a longer name (AUTH_SALT).
_SALT_ALONE = re.compile(
    rb"(?i)(?<![A-Za-z0-9_\-])salt[\"'`\])]{0,2}\s{0,8}(?:=>|:=|[:=(,])\s{0,8}[a-z]{0,2}[\"'`]?$"
)
_DATE = re.compile(r"(?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:.]+(?:Z|[+-][0-9:]+)?")
_ETHEREUM_ADDRESS = re.compile(r"0x[0-9A-Fa-f]{40}")
# Issuers of OAuth clients draw UUIDs: what is called the secret of one is no identifier.
_SECRET_UUID = re.compile(rb"(?i)(?:client|app|shared)[_\-]?secret\W*$|\"secret\"\W*$")
# Only what people choose and type themselves may be short.
_CHOSEN = re.compile(rb"(?i)secret|credential")
_PASSWORD = re.compile(rb"(?i)passw|pwd|passphrase")
# Names whose values are public by design, or name a place instead of holding a secret.
_HARMLESS_NAME = re.compile(
    rb"(?i)(?:AWS::|public(?:[ \t]+key|(?![ \t]))|csrf|xsrf|authenticity"
    rb"|(?:href|src|id|class|for|style)[ \t]*=[ \t]*[\"']?$"
    rb"|token(?:izer|ize|type|_?id|_?name|_?url|_?uri|_?endpoint|_?path|_?file|_?class|_?kind|s_?per)"
    rb"|(?:key|secret|password|token|credential)s?[_\-.]?(?:name|path|file|url|uri|type|field|id|ref|arn|class|label"
    rb"|prefix|hint|error|message|regex|pattern|format|policy|hash|length|header|signature|param|env|var|prompt|title|text"
    rb"|address)"
    rb"|export-secret-(?:sub)?keys|nsec3\w*salt|(?:passw\w*|pwd|secret|key)[_\-.]?(?:options?|opts|requirements?|rules?|complexity)\b"
    rb"|next[_\-]?(?:page)?[_\-]?token|page[_\-]?token|continuation|sync[_\-]?token|sas[_\-]?token[_\-]?type)"
)


# The key of a search that a page makes is meant to be public: it stands beside the index.
_SEARCH = re.compile(rb"(?i)docsearch|indexName|algolia")
_SEARCH_KEY = re.compile(rb"(?i)\bapi[_\-]?key[\"']?\s*[:=]\s*[\"']$|search[\w\-]*key[\"']?\s*[:=]\s*[\"']$")


def find_assigned_secrets(data: bytes, path: str) -> Iterator[Span]:
    """Yield values of 8 to 512 characters that a telling name is set to, and that look secret."""
    if is_lock_file(path):
        return
    patterns = [_QUOTED, _ELEMENT, _DEFINED, _INLINE]
    name = PurePosixPath(path).name.lower()
    shown = _EXAMPLE.sub("", name)
    suffix = PurePosixPath(shown).suffix
    if suffix in _BARE_SUFFIXES or (shown != name and not suffix) or name.startswith((".env", "dockerfile")):
        patterns.append(_BARE)
    elif suffix in _DOCUMENTS:
        patterns.append(_SHOWN)
    for pattern in patterns:
        for match in matches(pattern, data):
            group = next(i for i, value in enumerate(match.groups(), 1) if value is not None)
            start, end = match.span(group)
            end -= data[start:end].endswith(b"\\")  # of a quote that is escaped
            if MIN_LENGTH <= end - start <= MAX_LENGTH and _is_secret(data, start, end):
                yield Span("key", start, end, "assigned-secret")


def _is_secret(data: bytes, start: int, end: int) -> bool:
    value = data[start:end].decode("ascii")
    if is_placeholder(value) or is_code(value) or is_encoded_placeholder(value):
        return False
    if _NAME_OF_FILE.fullmatch(value) or _ETHEREUM_ADDRESS.fullmatch(value) or _DATE.fullmatch(value):
        return False
    before = data[max(0, start - _WINDOW) : start].rsplit(b"\n", 1)[-1]
    if _HARMLESS_NAME.search(before) or _SALT_ALONE.search(before):
        return False
    around = data[max(0, start - _WINDOW) : end + _WINDOW]
    if is_hex(value) and _SEARCH_KEY.search(before) and _SEARCH.search(around):
        return False
    if is_hex(value) and len(value) in _HASH_LENGTHS and _HASH_WORDS.search(before):
        return False
    if _NAMED_HASH.fullmatch(value) and _HASH_WORDS.search(before) and not _PASSWORD.search(before):
        return False
    if _says_itself(before, value):
        return False
    if is_uuid(value):
        return _SECRET_UUID.search(before) is not None
    if looks_generated(value):
        return True
    if _IN_A_LIST.search(before) and _NAME_OF_CODE.fullmatch(value) and word_share(value) > 0.6:
        return False
    if _PASSWORD.search(before):
        return looks_chosen(value) or is_word_with_number(value)
    return _CHOSEN.search(before) is not None and looks_chosen(value)


def _says_itself(before: bytes, value: str) -> bool:
    """Tell whether a value is the name that it is given to."""
    names = _NAMES_BEFORE.findall(before)
    return bool(names) and names[-1].decode().lower() == value.lower()
