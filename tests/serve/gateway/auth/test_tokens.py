"""Tokens: what holds, and what strangers send."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.access import TokenIssuer
from daybreak_serve.gateway.auth import tokens
from daybreak_serve.gateway.auth.caller import Caller
from daybreak_serve.gateway.auth.tokens import LEEWAY_S, TokenRefused, VerificationKey, keys_of
from tests.serve.issuer_server import (
    AUDIENCE,
    confused,
    encoded,
    jwk_of,
    new_key,
    pem_of,
    signed,
    unsigned,
)

URL = "https://login.example.org/realms/a"
ISSUER = TokenIssuer(issuer=URL, audience=AUDIENCE)
NOW = 1_800_000_000
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"]
PRIVATE = {algorithm: new_key(algorithm) for algorithm in ALGORITHMS}
KEY = PRIVATE["RS256"]
KEYS = keys_of({"keys": [jwk_of(KEY, kid="k"), jwk_of(PRIVATE["ES256"], kid="e")]})
GOOD = {"iss": URL, "aud": AUDIENCE, "sub": "ada", "exp": NOW + 60}


def said(token: str, keys: tuple[VerificationKey, ...] = KEYS, issuer: TokenIssuer = ISSUER) -> Caller:
    header = tokens.header_of(token)
    claims = tokens.claims_of(token, header, tokens.fitting(keys, header))
    return tokens.caller_from(claims, issuer, NOW)


def token_of(**changes: Any) -> str:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    return signed(claims, KEY, "RS256", "k")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_each_algorithm_holds(algorithm: str) -> None:
    keys = keys_of({"keys": [jwk_of(PRIVATE[algorithm], kid="x")]})
    assert said(signed(GOOD, PRIVATE[algorithm], algorithm, "x"), keys) == Caller("ada")
    assert said(signed(GOOD, PRIVATE[algorithm], algorithm, None), keys) == Caller("ada")


HOSTILE = [
    pytest.param(lambda: unsigned(GOOD, kid="k"), "algorithm", id="no algorithm"),
    pytest.param(lambda: unsigned(GOOD, "NONE", kid="k"), "algorithm", id="no algorithm in capitals"),
    pytest.param(lambda: unsigned(GOOD, "RS256", kid="k"), "signature", id="no signature"),
    pytest.param(lambda: confused(GOOD, pem_of(KEY), kid="k"), "algorithm", id="the public key as a secret"),
    pytest.param(lambda: signed(GOOD, new_key("RS256"), "RS256", "k"), "signature", id="somebody else's key"),
    pytest.param(
        lambda: signed(GOOD, PRIVATE["ES256"], "ES256", "k"), "signature", id="the key of another algorithm"
    ),
    pytest.param(
        lambda: signed(GOOD, KEY, "PS256", "k"), "algorithm", id="an algorithm that is not on the list"
    ),
    pytest.param(
        lambda: signed(GOOD, KEY, "RS256", "../../etc/passwd"), "signature", id="a kid that is a path"
    ),
    pytest.param(lambda: signed(GOOD, KEY, "RS256", "' OR 1=1"), "signature", id="a kid that is a query"),
    pytest.param(lambda: signed(GOOD, KEY, "RS256", None), None, id="no kid, and one key of the algorithm"),
    pytest.param(
        lambda: signed(GOOD, new_key("RS256"), "RS256", "k", jwk=jwk_of(new_key("RS256"))),
        "signature",
        id="its own key",
    ),
    pytest.param(lambda: signed(GOOD, KEY, "RS256", "k", crit=["x"], x=1), "extension", id="an extension"),
    pytest.param(lambda: token_of()[:-8] + "AAAAAAAA", "signature", id="a signature that was changed"),
    pytest.param(
        lambda: _with_claims(token_of(), {**GOOD, "sub": "root"}), "signature", id="claims that were changed"
    ),
    pytest.param(lambda: token_of(exp=NOW - LEEWAY_S), "expired", id="expired"),
    pytest.param(lambda: token_of(exp=NOW - LEEWAY_S + 1), None, id="expired by a clock that goes before"),
    pytest.param(lambda: token_of(exp=None), "no end", id="without an end"),
    pytest.param(lambda: token_of(exp="never"), "no number", id="an end that is text"),
    pytest.param(lambda: token_of(exp=True), "no number", id="an end that is true"),
    pytest.param(
        lambda: signed(_raw(exp="1e999"), KEY, "RS256", "k"), "no time", id="an end that is infinite"
    ),
    pytest.param(
        lambda: signed(_raw(exp="NaN"), KEY, "RS256", "k"), "cannot be read", id="an end that is no number"
    ),
    pytest.param(lambda: token_of(nbf=NOW + LEEWAY_S + 1), "not hold yet", id="not yet"),
    pytest.param(lambda: token_of(nbf=NOW + LEEWAY_S), None, id="not yet by a clock that goes after"),
    pytest.param(lambda: token_of(aud="another"), "audience", id="another audience"),
    pytest.param(lambda: token_of(aud=["another"]), "audience", id="other audiences"),
    pytest.param(lambda: token_of(aud=None), "audience", id="no audience"),
    pytest.param(lambda: token_of(aud=f"x{AUDIENCE}"), "audience", id="an audience that ends alike"),
    pytest.param(lambda: token_of(aud={AUDIENCE: 1}), "audience", id="an audience as an object"),
    pytest.param(lambda: token_of(aud=["another", AUDIENCE]), None, id="several audiences"),
    pytest.param(lambda: token_of(iss=f"{URL}/"), "issuer", id="almost the issuer"),
    pytest.param(lambda: token_of(iss=[URL]), "issuer", id="the issuer in a list"),
    pytest.param(lambda: token_of(sub=None), "no name", id="no user"),
    pytest.param(lambda: token_of(sub=""), "no name", id="an empty user"),
    pytest.param(lambda: token_of(sub=7), "no name", id="a user that is a number"),
    pytest.param(lambda: token_of(sub="a\r\nx-daybreak-groups: staff"), "no name", id="a user with a line"),
    pytest.param(lambda: token_of(sub="\ud800"), "no name", id="a user of half a character"),
    pytest.param(lambda: token_of(sub="a" * 300), "no name", id="a user without end"),
    pytest.param(
        lambda: signed(json.dumps(GOOD).encode()[:-1] + b', "sub": "root"}', KEY, "RS256", "k"),
        "twice",
        id="two users",
    ),
    pytest.param(
        lambda: _with_header('{"alg":"RS256","kid":"k","alg":"none"}'), "header", id="two algorithms"
    ),
    pytest.param(lambda: _with_header('{"alg":"RS256","kid":["k"]}'), "kid", id="a kid that is a list"),
    pytest.param(lambda: _with_header('{"alg":["RS256"]}'), "algorithm", id="an algorithm that is a list"),
    pytest.param(lambda: _with_header("[" * 5000), "header", id="a deep header"),
    pytest.param(lambda: _with_header("\xff", "latin-1"), "header", id="a header that is no text"),
    pytest.param(lambda: signed(b"[1]", KEY, "RS256", "k"), "cannot be read", id="claims that are a list"),
    pytest.param(lambda: signed(b"\xff", KEY, "RS256", "k"), "cannot be read", id="claims that are no text"),
    pytest.param(lambda: token_of(x="a" * 20_000), "16384 characters", id="huge"),
    pytest.param(lambda: "a.b", "three parts", id="two parts"),
    pytest.param(lambda: "..", "header", id="nothing"),
    pytest.param(lambda: token_of() + ".x", "three parts", id="four parts"),
]


def _with_claims(token: str, claims: dict[str, Any]) -> str:
    head, _, signature = token.split(".")
    return ".".join([head, encoded(json.dumps(claims).encode()), signature])


def _raw(exp: str) -> bytes:
    return json.dumps({**GOOD, "exp": "@"}).replace('"@"', exp).encode()


def _with_header(text: str, encoding: str = "utf-8") -> str:
    _, claims, signature = token_of().split(".")
    return ".".join([encoded(text.encode(encoding)), claims, signature])


@pytest.mark.parametrize(("make", "reason"), HOSTILE)
def test_what_strangers_send_is_refused_with_a_reason(make: Any, reason: str | None) -> None:
    token = make()
    if reason is None:
        assert said(token) == Caller("ada")
        return
    with pytest.raises(TokenRefused, match=reason) as caught:
        said(token)
    assert token not in str(caught.value)
    assert "root" not in str(caught.value)


@pytest.mark.parametrize(
    ("claim", "changes", "groups"),
    [
        pytest.param("groups", {}, (), id="none"),
        pytest.param("groups", {"groups": []}, (), id="an empty list"),
        pytest.param("groups", {"groups": ["staff", "berlin", "staff"]}, ("staff", "berlin"), id="a list"),
        pytest.param("groups", {"groups": "staff"}, ("staff",), id="a text"),
        pytest.param("groups", {"groups": ["x,staff"]}, ("x,staff",), id="a comma is a part of the name"),
        pytest.param(
            "realm_access.roles", {"realm_access": {"roles": ["staff"]}}, ("staff",), id="as Keycloak has it"
        ),
        pytest.param("realm_access.roles", {"realm_access": ["roles"]}, (), id="no object on the way"),
        pytest.param(
            "https://a.example/groups", {"https://a.example/groups": ["staff"]}, ("staff",), id="a URL"
        ),
        pytest.param("groups", {"groups": [1]}, None, id="numbers"),
        pytest.param("groups", {"groups": {"staff": True}}, None, id="an object"),
        pytest.param("groups", {"groups": ["a\n"]}, None, id="a line"),
        pytest.param("groups", {"hasgroups": True}, None, id="too many, as Entra ID says it in short tokens"),
        pytest.param(
            "groups",
            {"_claim_names": {"groups": "src1"}, "_claim_sources": {}},
            None,
            id="too many, as Entra ID says it",
        ),
        pytest.param(
            "roles",
            {"_claim_names": {"groups": "src1"}, "roles": ["staff"]},
            ("staff",),
            id="roles beside that",
        ),
    ],
)
def test_groups_are_what_the_claim_says(
    claim: str, changes: dict[str, Any], groups: tuple[str, ...] | None
) -> None:
    issuer = TokenIssuer(issuer=URL, audience=AUDIENCE, groups_claim=claim)
    if groups is not None:
        assert said(token_of(**changes), issuer=issuer) == Caller("ada", groups)
        return
    with pytest.raises(TokenRefused, match="groups") as caught:
        said(token_of(**changes), issuer=issuer)
    assert caught.value.is_known


def test_the_user_may_be_another_claim() -> None:
    issuer = TokenIssuer(issuer=URL, audience=AUDIENCE, username_claim="email")
    assert said(token_of(email="ada@example.org"), issuer=issuer) == Caller("ada@example.org")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

RSA = jwk_of(KEY)


@pytest.mark.parametrize(
    ("jwk", "algorithms"),
    [
        pytest.param(RSA, {"RS256", "RS384", "RS512"}, id="RSA"),
        pytest.param({**RSA, "alg": "RS256"}, {"RS256"}, id="RSA of one algorithm"),
        pytest.param({**RSA, "alg": "HS256"}, None, id="RSA that says HMAC"),
        pytest.param({**RSA, "alg": "PS256"}, None, id="RSA-PSS"),
        pytest.param({**RSA, "use": "enc"}, None, id="for encryption"),
        pytest.param({**RSA, "key_ops": ["sign"]}, None, id="for signing"),
        pytest.param({**RSA, "e": "AQ"}, None, id="an exponent of one"),
        pytest.param({**RSA, "n": 5}, None, id="a modulus that is no text"),
        pytest.param({"kty": "oct", "k": "c2VjcmV0"}, None, id="a shared secret"),
        pytest.param(
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, None, id="a point that is on no curve"
        ),
        pytest.param(
            {"kty": "OKP", "crv": "X25519", "x": encoded(bytes(32))}, None, id="a key for agreements"
        ),
        pytest.param({"kty": ["RSA"]}, None, id="a kind that is a list"),
        pytest.param({}, None, id="nothing"),
        pytest.param(jwk_of(PRIVATE["ES384"]), {"ES384"}, id="P-384"),
        pytest.param(jwk_of(PRIVATE["EdDSA"]), {"EdDSA"}, id="Ed25519"),
    ],
)
def test_a_key_is_for_the_algorithms_of_its_kind(jwk: dict[str, Any], algorithms: set[str] | None) -> None:
    found = keys_of({"keys": [jwk]})
    assert [set(key.algorithms) for key in found] == ([] if algorithms is None else [algorithms])


@pytest.mark.slow
@given(
    st.sampled_from(["RS256", "ES256", "EdDSA"]),
    st.dictionaries(
        st.sampled_from(sorted({*RSA, "x", "y", "crv", "use", "key_ops", "alg", "kid"})), JSON, max_size=3
    ),
)
def test_keys_of_any_shape_leave_the_others_alone(algorithm: str, changes: dict[str, Any]) -> None:
    found = keys_of({"keys": [{**jwk_of(PRIVATE[algorithm]), **changes}, jwk_of(KEY, kid="k")]})
    assert found[-1].kid == "k"


def test_a_short_key_is_none() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    assert keys_of({"keys": [jwk_of(rsa.generate_private_key(65537, 1024))]}) == ()


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": "x"}])
def test_what_is_no_list_of_keys_is_said(document: Any) -> None:
    with pytest.raises(ValueError, match="list of keys"):
        keys_of(document)


def test_two_keys_of_an_algorithm_need_a_kid() -> None:
    keys = keys_of({"keys": [jwk_of(KEY, kid="a"), jwk_of(new_key("RS256"), kid="b")]})
    with pytest.raises(TokenRefused, match="signature"):
        said(signed(GOOD, KEY, "RS256", None), keys)
    assert said(signed(GOOD, KEY, "RS256", "a"), keys) == Caller("ada")


NAMES = st.sampled_from(["iss", "aud", "exp", "nbf", "sub", "groups", "hasgroups", "_claim_names"])


@pytest.mark.slow
@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_claims_of_any_shape_name_a_caller_or_are_refused(changes: dict[str, Any]) -> None:
    try:
        caller = tokens.caller_from({**GOOD, **changes}, ISSUER, NOW)
    except TokenRefused:
        return
    assert caller.user
    assert all(isinstance(group, str) and group for group in caller.groups)


@pytest.mark.slow
@given(
    st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}")
)
def test_text_of_any_shape_is_no_token(text: str) -> None:
    with pytest.raises(TokenRefused):
        said(text)


def test_a_huge_token_costs_nothing() -> None:
    began = time.perf_counter()
    with pytest.raises(TokenRefused):
        said("." * 60_000)
    assert time.perf_counter() - began < 0.1
