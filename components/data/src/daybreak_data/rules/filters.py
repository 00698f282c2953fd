"""Which texts are good enough to learn from, and the rule that says no: the rules of each profile, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daybreak_data.rules.limits import Limits
from daybreak_data.rules.measures import FilterRule, MeasuredText
from daybreak_data.rules.opencoder import OPENCODER
from daybreak_data.rules.starcoder2 import STARCODER2

Profile = Literal["None", "StarCoder2", "Strict"]
RULES: dict[Profile, tuple[FilterRule, ...]] = {
    "None": (),
    "StarCoder2": STARCODER2,
    "Strict": STARCODER2 + OPENCODER,
}


@dataclass(frozen=True)
class FilterDrop:
    """``reason`` in kebab case, for counting; ``detail`` with the measured value, for a person."""

    reason: str
    detail: str


def check_filters(
    text: str,
    language: str | None,
    path: str,
    profile: Profile,
    limits: Mapping[str, Limits] | None = None,
) -> FilterDrop | None:
    """The first rule of the profile that drops the text, or None; ``limits`` by language, as a manifest says."""
    document = MeasuredText(text, language, path, (limits or {}).get(language or ""))
    for rule in rules_of(profile):
        detail = rule.check(document)
        if detail is not None:
            return FilterDrop(rule.reason, detail)
    return None


def rules_of(profile: Profile) -> tuple[FilterRule, ...]:
    """The table of a profile; Strict adds to StarCoder2."""
    return RULES[profile]
