"""Who may ask a gateway, by which credential, and how much one may ask. Owns neither keys nor tokens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from daybreak_contracts.resources import rules
from daybreak_contracts.resources.fields import ISSUER_PATTERN, Between, Name, Resource, Text

SomeText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Issuer = Annotated[str, StringConstraints(pattern=ISSUER_PATTERN, max_length=1024)]
Concurrency = Annotated[int, Between(1, 10_000)]
RequestsPerMinute = Annotated[int, Between(1, 10_000)]
TokensPerDay = Annotated[int, Between(1, 1_000_000_000_000)]


class SecretKeyRef(Resource):
    """One key of a Secret of the same namespace."""

    name: Name
    """Name of the Secret."""
    key: Text
    """Key in it."""


class TokenIssuer(Resource):
    """An OpenID Connect issuer whose tokens (JWT) are taken; its keys are found by discovery."""

    issuer: Issuer
    """What the tokens' `iss` says, to the letter; its keys are named at /.well-known/openid-configuration below it."""
    audience: SomeText
    """What the tokens' `aud` must have: this gateway, not another application of the same issuer."""
    username_claim: SomeText = "sub"
    """Claim that names the user: one that users cannot change themselves."""
    groups_claim: SomeText = "groups"
    """Claim with the user's groups, text or a list of text; dots lead into objects, as in `realm_access.roles`."""


class Auth(Resource):
    """Who may ask. A credential then says user and groups, and no header does."""

    rules = (rules.at_least_one("api_keys_secret_ref", "jwt"),)

    api_keys_secret_ref: SecretKeyRef | None = None
    """A file of API keys, as `daybreak key` makes its lines; it may change at any time."""
    jwt: TokenIssuer | None = None
    """Tokens of people who have logged in."""


class UserLimits(Resource):
    """How much each user may ask of one gateway pod."""

    concurrency: Concurrency | None = None
    """Requests at once."""
    requests_per_minute: RequestsPerMinute | None = None
    """Requests in any sixty seconds."""
    tokens_per_day: TokensPerDay | None = None
    """Tokens of prompts and completions in a day (UTC)."""


class GroupLimits(Resource):
    """How much the users of one group may ask of one gateway pod, all of them together."""

    list_keys = ("name",)

    name: SomeText
    """Name of the group."""
    concurrency: Concurrency | None = None
    """Requests at once."""
    requests_per_minute: RequestsPerMinute | None = None
    """Requests in any sixty seconds."""
    tokens_per_day: TokensPerDay | None = None
    """Tokens of prompts and completions in a day (UTC)."""


class AccessLimits(Resource):
    """How much one may ask; who asks for more gets 429 and when to come again."""

    rules = (rules.unique("groups", "name"),)

    user: UserLimits = UserLimits()
    """Of each user."""
    groups: Annotated[tuple[GroupLimits, ...], Field(max_length=32)] = ()
    """Of all users of a group together."""
