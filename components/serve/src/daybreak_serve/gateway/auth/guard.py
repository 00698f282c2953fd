"""Lets in who has a credential that holds, and says of whom it is: API keys, tokens of an issuer, or both.

Headers that name a user count only with the key of a proxy. Who is denied is a line of the log: why, and who it
seems to be, never the credential.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from daybreak_contracts.resources.access import TokenIssuer
from daybreak_serve.gateway.auth import tokens
from daybreak_serve.gateway.auth.api_keys import KeyFile
from daybreak_serve.gateway.auth.caller import GROUPS_HEADER, KEY, USER_HEADER, Caller, named_by_headers
from daybreak_serve.gateway.auth.issuer import IssuerKeys
from daybreak_serve.gateway.auth.tokens import TokenRefused
from daybreak_serve.gateway.http.asgi_io import ResponseWriter
from daybreak_serve.gateway.http.paths import body_of
from daybreak_serve.gateway.http.problems import ApiProblem

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/livez", "/health", "/v1/health", "/internal/counts"})
"""Probes have no credential; other gateways are known by their addresses (`GatewayApp.counts`)."""
AUTHORIZATION = b"authorization"
KEY_HEADERS = (b"api-key", b"x-api-key")
"""Where clients that take a gateway for Azure's OpenAI, or for Anthropic, have their key; `Authorization` wins."""
Log = Callable[[str, ApiProblem, Mapping[str, str]], object]


class AccessDenied(Exception):  # noqa: N818 - it is an answer
    """Why somebody is not let in, and what the log says besides."""

    def __init__(self, problem: ApiProblem, **about: str) -> None:
        super().__init__(problem.message)
        self.problem, self.about = problem, about


def denied(message: str, **about: str) -> AccessDenied:
    """Return a denial for want of a credential that holds."""
    return AccessDenied(ApiProblem(401, message, "authentication_error", code="invalid_api_key"), **about)


@dataclass(frozen=True)
class TokenCheck:
    """Whose tokens are taken."""

    issuer: TokenIssuer
    keys: IssuerKeys
    wall_clock: Callable[[], float] = time.time

    async def caller(self, token: str) -> Caller:
        """Return whom a token names."""
        about: dict[str, str] = {}
        try:
            said = tokens.header_of(token)
            about["kid"] = (said.kid or "")[:100]
            keys = await self.keys.find(said)
            if not keys:
                raise TokenRefused("the token is signed by a key that its issuer does not have")
            claims = tokens.claims_of(token, said, keys)
            about |= {
                "issuer": str(claims.get("iss"))[:200],
                "user": str(claims.get(self.issuer.username_claim)),
            }
            return tokens.caller_from(claims, self.issuer, self.wall_clock())
        except TokenRefused as refused:
            status, kind = (403, "permission_error") if refused.is_known else (401, "authentication_error")
            problem = ApiProblem(status, str(refused), kind, code="invalid_token")
            raise AccessDenied(problem, **about) from refused
        except ApiProblem as problem:
            raise AccessDenied(problem, **about) from problem


@dataclass(frozen=True)
class Authenticator:
    """By which credentials one may ask."""

    keys: KeyFile | None
    tokens: TokenCheck | None

    async def caller(self, scope: Scope) -> Caller:
        """Return who asks, or raise `AccessDenied`."""
        credential = credential_of(scope)
        text = f"Bearer {credential}"
        holder = self.keys.holder(credential) if self.keys is not None else None
        if holder is not None:
            known = Caller(holder.user, holder.groups)
            known = _named_by_proxy(scope, holder.user) if holder.is_proxy else known
        elif self.tokens is not None and (self.keys is None or credential.count(".") == 2):
            known = await self.tokens.caller(credential)
        else:
            raise denied("the API key is not known: send Authorization: Bearer KEY")
        return Caller(known.user, known.groups, text)


def credential_of(scope: Scope) -> str:
    """Return the one credential of a request, or raise `AccessDenied`."""
    given = [value for name, value in scope["headers"] if name == AUTHORIZATION]
    if not given:
        keys = {value for name, value in scope["headers"] if name in KEY_HEADERS}
        given = [b"Bearer " + value for value in keys]
    if len(given) != 1:
        what = "an API key or a token is needed" if not given else "there are several credentials"
        raise denied(f"{what}: send one header Authorization: Bearer KEY")
    text: str = given[0].decode("ascii", "replace")
    scheme, _, credential = text.partition(" ")
    credential = credential.strip()
    if scheme.lower() == "basic":  # CopilotForXcode's Tabby, curl -u: the key is the password
        credential = _password_of(credential)
    elif scheme.lower() != "bearer":
        credential = ""
    if not credential:
        raise denied("the credential is of another kind: send Authorization: Bearer KEY")
    return credential


def _password_of(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _named_by_proxy(scope: Scope, proxy: str) -> Caller:
    """Return whom a proxy names, else itself."""
    for name in (USER_HEADER, GROUPS_HEADER):
        if sum(key == name for key, _ in scope["headers"]) > 1:
            message = f"two headers {name.decode()}: the proxy must replace what clients send"
            problem = ApiProblem(403, message, "permission_error", code="ambiguous_user")
            raise AccessDenied(problem, user=proxy)
    named = named_by_headers(scope)
    return named if named.user is not None else Caller(proxy)


class AuthGuard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, log: Log) -> None:
        self._app, self._authenticator, self._log = app, authenticator, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with who asks; handlers see neither the credential nor what headers say of users."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            caller = await self._authenticator.caller(scope)
        except AccessDenied as found:
            self._log(scope["path"], found.problem, found.about)
            await ResponseWriter(send).problem(found.problem, body_of(found.problem, scope["path"]))
            return
        hidden = (USER_HEADER, GROUPS_HEADER, AUTHORIZATION, *KEY_HEADERS)
        headers = [pair for pair in scope["headers"] if pair[0] not in hidden]
        await self._app({**scope, "headers": headers, KEY: caller}, receive, send)
