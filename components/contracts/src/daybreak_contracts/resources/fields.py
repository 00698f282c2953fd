"""The building blocks of both resources: the strict base model and the bounded field types.

Every string and list is bounded (the cost of CEL rules is computed from the bounds), decimals are strings,
durations are integers named ``...Seconds``, enums are CamelCase. Types are as strict as an API server's: ``"3"``
is no number, ``"yes"`` no truth value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from daybreak_contracts.resources.languages import LANGUAGE_PATTERN
from daybreak_contracts.resources.rules import Rule, Transition

RULE_ERROR = "rule"
"""Type of the pydantic error that says which rules are broken; its context holds ``problems``."""


class Resource(BaseModel):
    """Base of every part of a resource: immutable, camelCase outside, unknown fields refused, rules kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    rules: ClassVar[tuple[Rule, ...]] = ()
    transitions: ClassVar[tuple[Transition, ...]] = ()
    list_keys: ClassVar[tuple[str, ...]] = ()
    """In a list of these, the fields (camelCase) that name one: the CRD makes the list a map by them."""

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        problems = broken_rules(type(self), self)
        if problems:
            sentences = "; ".join(sentence for _, sentence in problems)
            raise PydanticCustomError(
                RULE_ERROR, "{sentences}", {"sentences": sentences, "problems": problems}
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema_of_core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        from daybreak_contracts.resources.descriptions import describe  # reads sources: not at import

        schema = handler(schema_of_core)
        target = handler.resolve_ref_schema(schema)
        describe(cls, target)
        validations = [{"rule": rule.cel, "message": rule.message} for rule in cls.rules if rule.cel]
        validations += [{"rule": rule.cel, "message": rule.message} for rule in cls.transitions]
        if validations:
            target["x-kubernetes-validations"] = validations
        if cls.list_keys:
            target["x-daybreak-list-keys"] = list(cls.list_keys)
        return schema


def broken_rules(kind: type[Resource], part: Any) -> list[tuple[str, str]]:
    """Return (field, sentence) for each rule of a kind that a part, or something shaped like it, breaks."""
    return [(rule.at, rule.sentence(part)) for rule in kind.rules if not rule.holds(part)]


OBJECT_NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
"""As RFC 1035 has it: Services are named after our objects, and theirs may not begin with a digit."""
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
RESOURCE_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
ResourceName = Annotated[str, StringConstraints(pattern=RESOURCE_PATTERN, max_length=128)]
"""A kind of device as nodes count it: ``nvidia.com/gpu``."""
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=63)]
"""A DNS label: lower-case letters, digits and dashes."""
Text = Annotated[str, StringConstraints(max_length=256)]
URI_PATTERN = r"^[^-\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
"""No control characters, no space at an end; no dash in front: no URI is taken for an option of git or tar."""
Uri = Annotated[str, StringConstraints(pattern=URI_PATTERN, min_length=1, max_length=1024)]
ISSUER_PATTERN = r"^(https://[^/@?#\x00-\x20\x7f]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?)(/[^?#\x00-\x20\x7f]*)?$"
"""Whoever can change what comes from there can make tokens: encrypted, or on this machine."""
ORIGIN_PATTERN = r"^[a-z][a-z0-9+.-]*://[^A-Z/?#@*\x00-\x20\x7f]+$"
Origin = Annotated[str, StringConstraints(pattern=ORIGIN_PATTERN, max_length=256)]
"""A web page's site as browsers name it: scheme, host and port, nothing behind them."""
OptionalUri = Annotated[str, StringConstraints(max_length=1024)]
# No \s in patterns: Go's engine means ASCII by it, Rust's (pydantic) all of Unicode.
REFERENCE_PATTERN = r"^([^-\x00-\x20\x7f][^\x00-\x20\x7f]*)?$"
GitReference = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN, max_length=256)]
SUITE_PATTERN = r"^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$"
METRIC_PATTERN = r"^[a-z0-9-]+(/[a-z0-9-]+)?/[A-Za-z0-9@_.-]+$"
MetricName = Annotated[str, StringConstraints(pattern=METRIC_PATTERN, max_length=128)]
DIGEST_PATTERN = r"^(sha256:)?[a-f0-9]{64}$"
LICENCE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9.+-]*$"
Digest = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN, max_length=71)]
DOCUMENT_ID_PATTERN = r"^[a-f0-9]{64}$"
DocumentId = Annotated[str, StringConstraints(pattern=DOCUMENT_ID_PATTERN, max_length=64)]
EXCLUDED_PATTERN = r"^[^\x00-\x1f\x7f]+$"
Excluded = Annotated[str, StringConstraints(pattern=EXCLUDED_PATTERN, min_length=1, max_length=256)]
DECIMAL_PATTERN = r"^-?[0-9]{1,9}(\.[0-9]{1,9})?$"
DecimalText = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=20)]
AMOUNT_PATTERN = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
Amount = Annotated[str, StringConstraints(pattern=AMOUNT_PATTERN, max_length=20)]
"""A decimal from "0" upwards, as a string."""
RATIO_PATTERN = r"^(0(\.[0-9]{1,9})?|1(\.0{1,9})?)$"
Ratio = Annotated[str, StringConstraints(pattern=RATIO_PATTERN, max_length=12)]
"""A decimal between "0" and "1", as a string."""
EPOCHS_PATTERN = r"^(([0-9]|1[0-5])(\.[0-9]{1,9})?|16(\.0{1,9})?)$"
Epochs = Annotated[str, StringConstraints(pattern=EPOCHS_PATTERN, max_length=12)]
"""A decimal between "0" and "16", as a string: beyond 16 epochs nothing is learnt (``planning.data_amount``)."""


@dataclass(frozen=True)
class Between:
    """Annotates an integer with its bounds. Neither text nor a truth value is taken for a number.

    3.0 is taken for 3, as an API server does: what went through a protobuf Struct has no integers.
    """

    low: int
    high: int | None = None

    def __get_pydantic_core_schema__(self, source: type[int], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of a strict, bounded integer."""
        bounded = core_schema.int_schema(strict=True, ge=self.low, le=self.high)
        return core_schema.no_info_before_validator_function(_whole, bounded)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


Flag = Annotated[bool, Field(strict=True)]
Seconds = Annotated[int, Between(1, 31_536_000)]
Count = Annotated[int, Between(0, 1_000_000)]

PATTERNS_IN_WORDS = {
    LANGUAGE_PATTERN: "a language by linguist's name, as lua, cpp or objective-c",
    OBJECT_NAME_PATTERN: (
        "lower-case letters, digits and dashes, beginning with a letter and ending with a letter or digit"
    ),
    NAME_PATTERN: "lower-case letters, digits and dashes, beginning and ending with a letter or digit",
    RESOURCE_PATTERN: "a resource that nodes have, as nvidia.com/gpu or amd.com/gpu",
    URI_PATTERN: "a path or URI without control characters, not beginning with a dash, no space before or after it",
    ORIGIN_PATTERN: "a web page's site such as `https://ide.example.org`: scheme, host and port in lower case, no path",
    ISSUER_PATTERN: "a URL that begins with https:// (http:// on this machine alone), without ? and #",
    REFERENCE_PATTERN: "a branch, tag or commit, without spaces, not beginning with a dash",
    LICENCE_PATTERN: "an identifier of the SPDX licence list, as MIT or Apache-2.0",
    DIGEST_PATTERN: "64 hex digits, with or without sha256: in front",
    DOCUMENT_ID_PATTERN: "64 hex digits",
    EXCLUDED_PATTERN: "text without control characters",
    DECIMAL_PATTERN: 'a decimal in quotes, as "0.15"',
    AMOUNT_PATTERN: 'a decimal from 0 upwards in quotes, as "0.35"',
    EPOCHS_PATTERN: 'a decimal between 0 and 16 in quotes, as "2.5"',
    RATIO_PATTERN: 'a decimal between 0 and 1 in quotes, as "0.70"',
    SUITE_PATTERN: "letters and digits, with single dashes between them, beginning with a letter",
    METRIC_PATTERN: "a score's name, as humaneval/pass@1 or safim/java/pass@1",
}
"""What each pattern means, for people: messages and the reference page say this instead of the pattern."""
