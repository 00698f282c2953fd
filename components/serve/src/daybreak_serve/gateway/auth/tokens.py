"""What a token (JWT) of an issuer says, if it holds: signature, times, whom it is for. Pure; time is an argument.

Only public-key algorithms are taken, each for keys of its own kind alone, so no token can choose how it is checked
(RFC 8725). A name that stands twice in an object is refused: two readers would disagree about it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from daybreak_contracts.resources.access import TokenIssuer
from daybreak_serve.gateway.auth.caller import Caller

MAX_TOKEN_CHARACTERS = 16 << 10
MAX_KEYS = 100
LEEWAY_S = 60
"""How far clocks may be apart."""
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_NAME_CHARACTERS = 256
MAX_GROUPS = 1000
CURVES: dict[str, str] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS = ("RS256", "RS384", "RS512", *CURVES.values(), "EdDSA")
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class MalformedJsonError(ValueError):
    """Why a text is not the JSON that is wanted; never a part of it."""


class TokenRefused(Exception):  # noqa: N818 - it is an answer
    """Why a token does not hold; never a part of it but what its header names."""

    def __init__(self, message: str, *, is_known: bool = False) -> None:
        super().__init__(message)
        self.is_known = is_known
        """Whether the token itself was good, and what it says is not enough."""


@dataclass(frozen=True)
class VerificationKey:
    """A public key of an issuer."""

    kid: str | None
    algorithms: frozenset[str]
    key: PublicKey


@dataclass(frozen=True)
class TokenHeader:
    """What a token says of its key; not to be believed but for finding one."""

    algorithm: str
    kid: str | None


def keys_of(document: Any) -> tuple[VerificationKey, ...]:
    """Return the keys of a JWKS that signatures can be checked with; all others are left out (RFC 7517, 5)."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise MalformedJsonError("it has no list of keys")
    found = (_key_of(one) for one in listed[:MAX_KEYS] if isinstance(one, dict))
    return tuple(key for key in found if key is not None)


def _key_of(jwk: Mapping[str, Any]) -> VerificationKey | None:
    readers = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk, "OKP": OKPAlgorithm.from_jwk}
    reader = readers.get(str(jwk.get("kty")))
    operations = jwk.get("key_ops", ["verify"])
    is_for_checking = (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )
    if reader is None or not is_for_checking or "d" in jwk:
        return None
    try:
        key: Any = reader(dict(jwk))
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithms = algorithms_of(key)
    if jwk.get("alg") is not None:
        algorithms &= {jwk["alg"]} if isinstance(jwk["alg"], str) else set()
    kid = jwk.get("kid")
    return VerificationKey(kid if isinstance(kid, str) else None, algorithms, key) if algorithms else None


def algorithms_of(key: object) -> frozenset[str]:
    """Return the algorithms that a key may be used with; none for what is no public key, or a weak one."""
    if isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return frozenset({"RS256", "RS384", "RS512"})
    if isinstance(key, ec.EllipticCurvePublicKey):
        return frozenset({CURVES[key.curve.name]} if key.curve.name in CURVES else ())
    return frozenset({"EdDSA"} if isinstance(key, ed25519.Ed25519PublicKey) else ())


def header_of(token: str) -> TokenHeader:
    """Return what a token's header says."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise TokenRefused(f"the token has more than {MAX_TOKEN_CHARACTERS} characters")
    if token.count(".") != 2:
        raise TokenRefused("the token has not three parts")
    first = token.partition(".")[0]
    try:
        document = parsed(base64.b64decode(first + "=" * (-len(first) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise TokenRefused("the token's header cannot be read") from error
    algorithm, kid = document.get("alg"), document.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefused(f"the token's algorithm is none of {', '.join(ALGORITHMS)}")
    if "crit" in document:
        raise TokenRefused("the token needs an extension that is not known here")
    if not isinstance(kid, str | None):
        raise TokenRefused("the token's kid is no text")
    return TokenHeader(str(algorithm), kid)


def fitting(keys: Iterable[VerificationKey], header: TokenHeader) -> list[VerificationKey]:
    """Return the keys that a token may be signed with. Without a kid there must be one key of the algorithm alone."""
    found = [one for one in keys if header.algorithm in one.algorithms]
    if header.kid is None:
        return found if len(found) == 1 else []
    return [one for one in found if one.kid == header.kid]


def claims_of(token: str, header: TokenHeader, keys: Sequence[VerificationKey]) -> dict[str, Any]:
    """Return what a token says, once one of the keys has proved its signature."""
    for one in keys:
        try:
            whole = PyJWS(algorithms=[header.algorithm]).decode_complete(
                token, one.key, algorithms=[header.algorithm]
            )
            return parsed(whole["payload"])
        except PyJWTError:
            continue
        except ValueError as error:
            raise TokenRefused(f"the token's claims cannot be read: {error}") from error
    raise TokenRefused("the token's signature is not the issuer's")


def parsed(data: bytes) -> dict[str, Any]:
    """Return a JSON object in which every name stands once; anything else is an `MalformedJsonError`."""
    try:
        document = json.loads(data, object_pairs_hook=_each_once, parse_constant=_refuse)
    except RecursionError as error:
        raise MalformedJsonError("too deep") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise MalformedJsonError("no JSON") from error
    if not isinstance(document, dict):
        raise MalformedJsonError("no object")
    return document


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedJsonError("a name stands twice")
    return found


def _refuse(name: str) -> None:
    raise MalformedJsonError(f"{name} is not JSON")


def caller_from(claims: Mapping[str, Any], issuer: TokenIssuer, now: float) -> Caller:
    """Return whom the claims name, if they are of this issuer, for this gateway, and of this time (Unix)."""
    if claims.get("iss") != issuer.issuer:
        raise TokenRefused("the token is of another issuer")
    audience = claims.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRefused("the token is for another audience")
    expires, begins = _time(claims, "exp"), _time(claims, "nbf")
    if expires is None:
        raise TokenRefused("the token has no end (exp)")
    if now >= expires + LEEWAY_S:
        raise TokenRefused("the token has expired")
    if begins is not None and now < begins - LEEWAY_S:
        raise TokenRefused("the token does not hold yet (nbf)")
    user = _at(claims, issuer.username_claim)
    if not _is_name(user):
        raise TokenRefused(f"the token's {issuer.username_claim} is no name of a user", is_known=True)
    return Caller(user, _groups(claims, issuer.groups_claim))


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"the token's {name} is no number")
    if isinstance(value, float) and not math.isfinite(value):
        raise TokenRefused(f"the token's {name} is no time")
    return value


def _groups(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the groups: a text is one of them, nothing is none."""
    value = _at(claims, name)
    elsewhere = claims.get("_claim_names")
    if value is None and (claims.get("hasgroups") or (isinstance(elsewhere, dict) and name in elsewhere)):
        # Entra ID: more groups than a token has room for. Were they taken for none, limits of groups would not hold
        raise TokenRefused(
            f"the user is in more groups than a token holds: have the issuer put only groups that matter here "
            f"into {name}",
            is_known=True,
        )
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or len(listed) > MAX_GROUPS or not all(map(_is_name, listed)):
        raise TokenRefused(f"the token's {name} is no list of names of groups", is_known=True)
    return tuple(dict.fromkeys(listed))


def _at(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, else by the way that dots in it lead.

    >>> _at({"realm_access": {"roles": ["a"]}}, "realm_access.roles"), _at({"https://a.b/g": "x"}, "https://a.b/g")
    (['a'], 'x')
    """
    if name in claims:
        return claims[name]
    here: Any = claims
    for step in name.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    return here


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_CHARACTERS and value.isprintable()
