"""The per-file rules in the order in which they are asked: what is kept, what is dropped, and why. Pure.

Owns the order and the stages' names. Does not own: the rules (decode, languages, filters, generated, syntax,
personal_data), duplicates, or where documents come from. Cheap rules first; personal data last, so that
signatures are of the original text, and the syntax is looked at again after a redaction (docs/thresholds.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from daybreak_contracts.resources.run import Data, PersonalData
from daybreak_data.personal_data import (
    Detection,
    Redacted,
    find_personal_data,
    must_drop,
    redact,
    stand_ins_for,
)
from daybreak_data.rules import filters, generated, headers, no_code, notebooks
from daybreak_data.rules.languages import detect_language, family_of, stated_language
from daybreak_data.rules.limits import Limits, chosen
from daybreak_data.rules.quality import quality_of
from daybreak_data.syntax.check import check_syntax
from daybreak_data.syntax.result import SyntaxResult
from daybreak_data.text.decode import Undecodable, decode

CODE_VERSION = 22
NOTEBOOK = "jupyter-notebook"


@dataclass(frozen=True)
class RuleOptions:
    """What the rules have to know of the manifest."""

    languages: tuple[str, ...]
    """Empty keeps every known language."""
    profile: filters.Profile
    personal_data: PersonalData
    limits: Mapping[str, Limits] = field(default_factory=dict)
    """By language, where the manifest says other thresholds than the published ones."""
    min_quality: float = 0.0
    """Share of OpenCoder's rules that a document must keep."""


@dataclass(frozen=True)
class Drop:
    """Why a file is not kept: the stage that decided, a countable reason, a detail for a person."""

    stage: str
    reason: str
    detail: str


@dataclass
class Checks:
    """What the rules find in one text; each is asked once, and only when somebody wants to know."""

    path: str
    text: str
    language: str | None
    options: RuleOptions

    @cached_property
    def filtered(self) -> filters.FilterDrop | None:
        """Which filter takes it out."""
        options = self.options
        return filters.check_filters(self.text, self.language, self.path, options.profile, options.limits)

    @cached_property
    def generated_by(self) -> str | None:
        """Which rule says that a program wrote it."""
        return generated.find_generated(self.path, self.text, self.language)

    @cached_property
    def dialect(self) -> str | None:
        """What its parser must know."""
        return dialect_of(self.path, self.text, self.language)

    @cached_property
    def parsed(self) -> SyntaxResult:
        """Whether it parses."""
        return check_syntax(self.text, self.dialect, self.path)

    @cached_property
    def findings(self) -> tuple[Detection, ...]:
        """The personal data in it."""
        return tuple(find_personal_data(self.text, self.path))


@dataclass(frozen=True)
class Assessed:
    """A file before duplicates are looked for; ``drop`` None means it goes on."""

    text: str = ""
    encoding: str = ""
    language: str | None = None
    drop: Drop | None = None
    checks: Checks | None = None
    """What was found in the text, and will be; None where there is no text."""


@dataclass(frozen=True)
class Finished:
    """A document after duplicates: its text with replacements, what was found, why it is dropped if it is."""

    text: str
    findings: tuple[Detection, ...] = ()
    num_redactions: int = 0
    drop: Drop | None = None
    quality: float = 0.0
    """Of a document that is kept: ``rules.quality``."""


def options_of(data: Data) -> RuleOptions:
    """Return what the rules have to know of a run's data."""
    limits = chosen(data.filters.languages)
    least = float(data.filters.min_quality)
    return RuleOptions(data.languages, data.filters.profile, data.personal_data, limits, least)


def language_of(path: str, text: str) -> str | None:
    """Return the language as a manifest names it, dialects counted with their language."""
    found = detect_language(path, text)
    return None if found is None else family_of(found)


def dialect_of(path: str, text: str, language: str | None) -> str | None:
    """Return what a parser must know and a manifest does not say: TSX is no TypeScript to a grammar."""
    found = detect_language(path, text)
    return found if found is not None and family_of(found) == language else language


def assess_before_duplicates(
    path: str, data: bytes, options: RuleOptions, stated: str = "", header: str = ""
) -> Assessed:
    """Decode a file and ask the rules that need no other file: language, filters, generated code.

    ``stated`` is the language that the source says it is; one that nobody knows counts as not said. ``header`` is
    the language that a repository's sources say a header is in. A notebook goes on as its script.
    """
    if no_code.is_pointer(data):
        return Assessed(drop=Drop("ingest", "git-lfs-pointer", "the content lies outside the repository"))
    decoded = decode(data)
    if isinstance(decoded, Undecodable):
        return Assessed(drop=Drop("ingest", *no_code.reason_and_detail(path, decoded.reason)))
    text = decoded.text
    said = stated_language(stated) if stated else None
    language = language_of(path, text) if said is None else family_of(said)
    if said is None and language in headers.LANGUAGES and header and path.endswith((".h", ".H")):
        language = language if language != "c" else header
    if language == NOTEBOOK:
        script = notebooks.script_of(text)
        if script is None:
            drop = Drop("syntax", "syntax-error", "no notebook: JSON with a list of cells was expected")
            return Assessed(text, decoded.encoding, language, unwanted_language(language, options) or drop)
        text = script
    checks = Checks(path, text, language, options)
    return Assessed(text, decoded.encoding, language, _first_drop(checks), checks)


def _first_drop(checks: Checks) -> Drop | None:
    unwanted = unwanted_language(checks.language, checks.options)
    if unwanted is not None:
        return unwanted
    if checks.filtered is not None:
        return Drop("filter", checks.filtered.reason, checks.filtered.detail)
    rule = checks.generated_by if checks.options.profile != "None" else None
    return Drop("generated", "generated", rule) if rule is not None else None


def unwanted_language(language: str | None, options: RuleOptions) -> Drop | None:
    """Drop a file in no known language, or in one that the manifest does not name."""
    if language is None:
        return Drop("language", "unknown-language", "")
    if not options.languages or language in options.languages:
        return None
    return Drop("language", "other-language", language)


def assess_after_duplicates(path: str, text: str, language: str | None, options: RuleOptions) -> Finished:
    """Parse, find personal data, replace it, and parse again where something was replaced."""
    return finish(Checks(path, text, language, options))


def finish(checks: Checks) -> Finished:
    """Say what becomes of a document that duplicates were taken from."""
    text, parsed = checks.text, checks.parsed
    if parsed.verdict == "error":
        return Finished(text, drop=Drop("syntax", "syntax-error", f"{parsed.parser}: {parsed.detail}"))
    quality = quality_of(text, checks.language or "", checks.path)
    if quality < checks.options.min_quality:
        said = f"{quality:.2f}, at least {checks.options.min_quality:.2f}"
        return Finished(text, drop=Drop("filter", "low-quality", said))
    findings = checks.findings
    if not findings:
        return Finished(text, quality=quality)
    handling = checks.options.personal_data
    if must_drop(findings, handling):
        kinds = ", ".join(sorted({finding.kind for finding in findings}))
        return Finished(text, findings, drop=Drop("personal-data", "personal-data", kinds))
    redacted = _redact_in_syntax(checks, findings, handling)
    return Finished(redacted.text, findings, len(redacted.findings), quality=quality)


def _redact_in_syntax(checks: Checks, findings: tuple[Detection, ...], handling: PersonalData) -> Redacted:
    """Put in the first stand-ins with which the text still parses; a file is never dropped for our own word."""
    text, dialect = checks.text, checks.dialect
    first = redact(text, findings, handling, stand_ins_for(dialect)[0])
    for stand_ins in stand_ins_for(dialect):
        redacted = redact(text, findings, handling, stand_ins)
        if redacted.text == text or check_syntax(redacted.text, dialect, checks.path).verdict != "error":
            return redacted
    return first
