"""How much a string looks like made by a random generator or chosen as a password, and how little like code.

Pure measures on one candidate. Owns no pattern of where candidates stand.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

_PLACEHOLDER = re.compile(
    r"(?i)example|sample|dummy|placeholder|change.?me|change.?it|replace|insert|redacted|removed|masked|hidden"
    r"|foo|bar(?:\b|_|[0-9])|baz|test|fake|mock|todo|xxx|\*\*\*|\.\.\.|…|your[_-]?|my[_-]?(?:pass|secret|token|key|api)"
    r"|(?:the|some|any|a|an)[_-]?(?:pass|secret|token|key)|lorem|undefined|null|none|default|abcdef|qwerty"
    r"|random|blahblah|invalid|malformed|bogus|wrong|expired|123456|abc123|deadbeef|00000|11111|aaaaa|password|passwd|passphrase|secret|token|credential|api_?key|<|>"
    r"|\$\{|\{\{|%\(|\$\(|\{[a-z_]*\}|%[sd]|env[.(\[]|process\."
    r"|00010203|00112233|01234567|76543210|a1b2c3d4|1a2b3c4d|JBSWY3DPEHPK3PXP"
)
_UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_OF_NOTHING = frozenset(
    (
        "31d6cfe0d16ae931b73c59d7e0c089c0",
        "aad3b435b51404eeaad3b435b51404ee",
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
)
"""Hashes of the empty string: NT, LAN Manager, MD5, SHA-1, SHA-256."""
_SHORT_WORD = re.compile(r"[A-Za-z]{3,4}[0-9_]?")
_PUT_IN = re.compile(r"(?:[^A-Za-z0-9$]*\$\{?[A-Za-z_]\w*(?:\[\w+\]|->\w+)*\}?){2,}[^A-Za-z0-9]*")
_BASE32_ALPHABET = re.compile(r"[A-Z2-7]{16,}")
_LOWER_WORDS = re.compile(r"[a-z]{4,}(?:[ _\-.][a-z]+)*")
# Your secret password, spelt as passwords are: p4$$w0rd.
_AS_LETTERS = str.maketrans("013457$@!|", "oleastsaii")
_MANUAL = re.compile(
    r"(?:your|my|the|an?|some|very|super|secured?|secret|strong|pass|password|passwd|pwd|phrase|value|key|token"
    r"|change|me|this|[^a-z])+"
)
_MANUAL_WORD = re.compile(
    r"your|my|the|some|very|super|secured?|secret|strong|pass|pwd|phrase|value|key|token|change"
)
_JOINT = re.compile(r"[_:.]")
_UNSIGNED = re.compile(r"\{[^{}]*\"alg\" ?: ?\"none\"[^{}]*\}")
_JOSE_HEADER = re.compile(r"\{\"(?:alg|typ)\":\"\w+\",\"(?:alg|typ)\":\"\w+\"\}")
# What authenticators of RFC 6238 share; two digits, for capitals alone are a name.
_BASE32 = re.compile(r"(?=(?:[A-Z]*[2-7]){2})[A-Z2-7]{16,64}")
_SENTENCE = re.compile(r"(?:[A-Za-z0-9]+[_\-]){4,}[A-Za-z0-9]+")
_HEX = re.compile(r"(?:0x)?(?:[0-9a-f]+|[0-9A-F]+)")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_VOWEL = re.compile(r"[aeiouyAEIOUY]")
_CONSONANTS = re.compile(r"(?i)[bcdfghjklmnpqrstvwxz]{5,}")
_SYMBOLS = re.compile(r"[!@#$%^&*?~+=]")
_CODE = re.compile(
    r"^[\w.]+\(|\)$|^[.\\]|^[A-Za-z]:\\|::|->|^--?[a-z]|\\[dwsb]|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|^&#?\w+;|^\[?\^|\$$|\(\?|\[[a-zA-Z]|^[A-Za-z_]{2,}=[A-Za-z0-9_]+$"
    r"|^[a-z][a-z0-9]*(?:\.[A-Za-z]\w*){2,}$|^[\w.+\-]+@[A-Za-z][\w\-]*(?:\.[A-Za-z][\w\-]*)+$"
)
_WORD_WITH_NUMBER = re.compile(r"[A-Za-z]{4,16}[0-9]{2,6}[!@#$%^&*?.]{0,2}")
_TRANSITION = re.compile(r"[A-Za-z](?=[0-9])|[0-9](?=[A-Za-z])")
# Names of ciphers, hashes and signatures, put together of their parts: they stand where a key is asked for.
_ALGORITHM = re.compile(
    r"(?i)(?:pbe|pbkdf2?|hmac|sha|md|aes|des|ede|rsa(?:ssa)?|ecdsa|ecdh|dsa|ed|es|hs|rs|ps|pkcs|padding|with|and|oaep|mgf"
    r"|cbc|gcm|ecb|ctr|ccm|kw|dir|pss|scrypt|bcrypt|argon|chacha|poly|encryption|no|id|v|a|[0-9]+|[-_/.+])+"
)
_PATH = re.compile(r"^(?:[a-z]+:|@)?/{1,2}[\w.@:/\-]*$|^[\w\-]+(?:/[\w.\-]+)+$")


def entropy(value: str) -> float:
    """Shannon entropy in bits per character (Shannon 1948)."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


def is_placeholder(value: str) -> bool:
    """Tell whether a value says itself that it stands for another one."""
    if len(set(value)) < 5 or value.lower() in _OF_NOTHING or _is_of_a_manual(value):
        return True
    said = _PLACEHOLDER.search(value)
    if said is None:
        return False
    # 256 bits in base64 hold a given word of three letters once in some hundred: there it is chance.
    by_chance = len(value) >= 40 and _SHORT_WORD.fullmatch(said[0]) and _BASE64.fullmatch(value)
    return not (by_chance and entropy(value) > 4.5 and word_share(value) < 0.3)


def _is_of_a_manual(value: str) -> bool:
    spelt = value.lower().translate(_AS_LETTERS)
    return len(value) <= 40 and len(_MANUAL_WORD.findall(spelt)) > 1 and _MANUAL.fullmatch(spelt) is not None


def is_encoded_placeholder(value: str) -> bool:
    """Tell whether a value is base64 or base32 of a stand-in, or the head of a web token alone."""
    for decoded in (piece for part in _JOINT.split(value.rstrip(".")) for piece in _decoded(part)):
        text = decoded.decode("ascii").strip() if decoded.isascii() else ""
        if text and text.isprintable() and _says_nothing(text):
            return True
    return False


def _says_nothing(text: str) -> bool:
    known = (_JOSE_HEADER, _UNSIGNED, _LOWER_WORDS)
    return is_placeholder(text) or any(pattern.fullmatch(text) for pattern in known)


def _decoded(value: str) -> Iterator[bytes]:
    """What is meant by a value, if it is one of the two encodings; the end may be left out."""
    bare = value.rstrip("=")
    if _BASE64.fullmatch(bare) and len(bare) % 4 != 1:
        yield base64.b64decode(bare + "=" * (-len(bare) % 4))
    if _BASE32_ALPHABET.fullmatch(bare) and len(bare) % 8 in (0, 2, 4, 5, 7):
        yield base64.b32decode(bare + "=" * (-len(bare) % 8))


def is_uuid(value: str) -> bool:
    """Tell whether a value is an identifier in RFC 9562 form."""
    return _UUID.fullmatch(value) is not None


def is_hex(value: str) -> bool:
    """Tell whether a value has hexadecimal digits of one case only."""
    return _HEX.fullmatch(value) is not None


def is_code(value: str) -> bool:
    """Tell whether a value is an expression, a pattern, a path, a flag or the name of an algorithm."""
    return any((_CODE.search(value), _is_path(value), _ALGORITHM.fullmatch(value), _PUT_IN.fullmatch(value)))


def _is_path(value: str) -> bool:
    return _PATH.match(value) is not None and word_share(value) > 0.4


def word_share(value: str) -> float:
    """Share of the characters that stand in runs that could be words: 4 letters or more, with vowels."""
    in_words = sum(len(word) for word in _WORDS.findall(value) if _could_be_word(word))
    return in_words / len(value)


def _could_be_word(run: str) -> bool:
    if len(run) < 4 or run.isdigit():
        return False
    vowels = len(_VOWEL.findall(run))
    return 0.2 <= vowels / len(run) <= 0.75 and not _CONSONANTS.search(run)


def looks_generated(value: str) -> bool:
    """Tell whether a string of 16 characters or more looks drawn at random.

    Random base62 of length n changes between letters and digits about 0.27 n times and hexadecimal 0.47 n
    times (p and q of the two classes, 2 p q a step); names in code with digits in them change once or twice.
    """
    if _BASE32.fullmatch(value) and len(value) % 8 == 0 and entropy(value) > 3.3:
        return True
    if len(value) < 16 or word_share(value) > 0.45:
        return False
    hexadecimal = is_hex(value)
    if entropy(value) < (2.8 if hexadecimal else 3.3):
        return False
    changes = len(_TRANSITION.findall(value))
    if changes >= max(3, len(value) // 10):
        return True
    cases = sum(a.islower() != b.islower() for a, b in pairwise(value) if (a + b).isalpha())
    return cases >= len(value) // 4 and len(value) >= 20


def is_word_with_number(value: str) -> bool:
    """Tell whether a value is a word and a number, the commonest form of a bad password."""
    return _WORD_WITH_NUMBER.fullmatch(value) is not None


def looks_chosen(value: str) -> bool:
    """Tell whether a short string looks like a password that a person chose: mixed classes, no name."""
    if not 8 <= len(value) <= 40 or " " in value or _SENTENCE.fullmatch(value):
        return False
    classes = [
        any(c.islower() for c in value),
        any(c.isupper() for c in value),
        any(c.isdigit() for c in value),
        _SYMBOLS.search(value) is not None,
    ]
    if not classes[2] or sum(classes) < 3:
        return False
    return len(set(value)) >= 6
