"""The building blocks of both resources: the strict base model and the bounded field types.

Every string and list is bounded (the cost of CEL rules is computed from the bounds), decimals are strings,
durations are integers named ``...Seconds``, enums are CamelCase.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel


class Resource(BaseModel):
    """Base of every part of a resource: immutable, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


def require_one(part: Resource, *names: str) -> None:
    """Raise ValueError unless exactly one of these fields is given."""
    given = [to_camel(name) for name in names if getattr(part, name) is not None]
    if len(given) != 1:
        known = ", ".join(to_camel(name) for name in names)
        raise ValueError(f"exactly one of {known} must be given, found {', '.join(given) or 'none'}")


def _between(low: str, high: str) -> AfterValidator:
    def check(value: str) -> str:
        if not Decimal(low) <= Decimal(value) <= Decimal(high):
            raise ValueError(f"must be between {low} and {high}, got {value}")
        return value

    return AfterValidator(check)


Name = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
"""A DNS label: lower-case letters, digits and dashes."""
Text = Annotated[str, StringConstraints(max_length=256)]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
OptionalUri = Annotated[str, StringConstraints(max_length=1024)]
Digest = Annotated[str, StringConstraints(pattern=r"^(sha256:)?[a-f0-9]{64}$", max_length=71)]
DecimalText = Annotated[str, StringConstraints(pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,9})?$", max_length=20)]
Ratio = Annotated[
    str, StringConstraints(pattern=r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$", max_length=12), _between("0", "1")
]
"""A decimal between "0" and "1", as a string."""
Seconds = Annotated[int, Field(ge=1, le=31_536_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
