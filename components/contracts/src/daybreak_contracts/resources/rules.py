"""Rules between fields, each written once in two languages: Python for ``daybreak validate``, CEL for the CRD.

A rule stands beside the model it is about (``Resource.rules``); tests hold that both languages agree. Bounds of a
single field are no rules: they belong to the field's type. CEL sees objects after defaulting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any

from pydantic.alias_generators import to_camel

from daybreak_contracts.resources.near_names import did_you_mean

STORAGE_SCHEMES = ("file://", "s3://", "gs://")
NO_PATH = ("s3:", "s3//", "gs:", "gs//", "file:", "hf:", "http:", "https:", "~/", "$")
"""Beginnings of what is no path although it has no scheme: a mistyped one, and what only a shell fills in."""
NO_REPOSITORY = (
    "http://",
    "git://",
    "s3://",
    "www.",
    "github.com/",
    "gitlab.com/",
    "bitbucket.org/",
    "codeberg.org/",
)
"""Beginnings of what git is not let use here, and of an address without its scheme."""
GITHUB = "https://github.com/"
PAGE = "/tree/"
"""In an address of GitHub the page of a folder; GitLab has ``/-/`` in front of each. Of other pages git itself says
that they are no repository: an API server lets a rule look for two texts in 256 addresses, not for three."""
MLFLOW_HOST = r"^[A-Za-z0-9.-]+:[0-9]+(/.*)?$"


def _nothing(_: Any) -> str:
    return ""


@dataclass(frozen=True)
class Rule:
    """What must hold inside one object."""

    message: str
    """A sentence that names the remedy; the API server and the command line say the same one."""
    cel: str
    """The rule in CEL with ``self``; empty when the schema itself holds it (a list map's keys)."""
    holds: Callable[[Any], bool]
    """The rule in Python, over the model."""
    at: str = ""
    """The field (camelCase) an error is shown at; empty means the object itself."""
    got: Callable[[Any], str] = _nothing
    """What was found instead, for the message."""

    def sentence(self, part: Any) -> str:
        """Return the message with what was found."""
        found = self.got(part)
        return f"{self.message}, got {found}" if found else self.message


@dataclass(frozen=True)
class Transition:
    """What an update must keep: CEL with ``self`` and ``oldSelf``, Python with the new and the old object."""

    message: str
    cel: str
    keeps: Callable[[Any, Any], bool]


def exactly_one(*names: str) -> Rule:
    """Exactly one of these fields (Python names) must be given."""
    known = [to_camel(name) for name in names]
    return Rule(
        message=f"exactly one of {', '.join(known)} must be given",
        cel=f"[{', '.join(f'has(self.{name})' for name in known)}].exists_one(given, given)",
        holds=lambda part: len(_given(part, names)) == 1,
        got=lambda part: ", ".join(_given(part, names)) or "none",
    )


def at_most_one(*names: str) -> Rule:
    """At most one of these fields (Python names) may be given."""
    known = [to_camel(name) for name in names]
    return Rule(
        message=f"at most one of {', '.join(known)} may be given",
        cel=f"[{', '.join(f'has(self.{name})' for name in known)}].filter(given, given).size() <= 1",
        holds=lambda part: len(_given(part, names)) <= 1,
        got=lambda part: ", ".join(_given(part, names)),
    )


def at_least_one(*names: str) -> Rule:
    """At least one of these fields (Python names) must be given."""
    known = [to_camel(name) for name in names]
    return Rule(
        message=f"{' or '.join(known)} must be given",
        cel=" || ".join(f"has(self.{name})" for name in known),
        holds=lambda part: bool(_given(part, names)),
    )


def together(first: str, second: str) -> Rule:
    """Both of two fields (Python names) are given, or none."""
    one, two = to_camel(first), to_camel(second)
    return Rule(
        message=f"{one} and {two} must be given together",
        cel=f"has(self.{one}) == has(self.{two})",
        holds=lambda part: len(_given(part, (first, second))) != 1,
        got=lambda part: f"only {', '.join(_given(part, (first, second)))}",
    )


def ordered(low: str, high: str) -> Rule:
    """Of two whole numbers, the first must not exceed the second."""
    return Rule(
        message=f"{low} must not exceed {high}",
        cel=f"self.{low} <= self.{high}",
        holds=lambda part: bool(getattr(part, low) <= getattr(part, high)),
        at=low,
        got=lambda part: f"{getattr(part, low)} and {getattr(part, high)}",
    )


def ordered_decimals(low: str, high: str) -> Rule:
    """Of two optional numbers (Python names; decimals or whole), the first must not exceed the second."""
    below_name, above_name = to_camel(low), to_camel(high)

    def holds(part: Any) -> bool:
        below, above = getattr(part, low), getattr(part, high)
        return below is None or above is None or Decimal(below) <= Decimal(above)

    return Rule(
        message=f"{below_name} must not exceed {above_name}",
        cel=f"!has(self.{below_name}) || !has(self.{above_name})"
        f" || double(self.{below_name}) <= double(self.{above_name})",
        holds=holds,
        at=below_name,
        got=lambda part: f"{getattr(part, low)} and {getattr(part, high)}",
    )


def above_zero(name: str) -> Rule:
    """A decimal must be more than nothing (it is divided by)."""
    field = to_camel(name)
    return Rule(
        message=f"{field} must be above 0",
        cel=f"double(self.{field}) > 0.0",
        holds=lambda part: Decimal(getattr(part, name)) > 0,
        at=field,
        got=lambda part: str(getattr(part, name)),
    )


def rises_to(name: str, last: int, max_items: int) -> Rule:
    """A list of whole numbers must rise strictly and end at ``last``.

    CEL has no index in its macros, so the rule walks the positions that the list's bound allows.
    """
    field = to_camel(name)
    positions = ", ".join(str(index) for index in range(max_items - 1))
    step = f"i + 1 >= size(self.{field}) || self.{field}[i] < self.{field}[i + 1]"

    def holds(part: Any) -> bool:
        values = list(getattr(part, name))
        return all(a < b for a, b in pairwise(values)) and bool(values) and values[-1] == last

    return Rule(
        message=f"{field} must rise and end at {last}",
        cel=f"[{positions}].all(i, {step}) && self.{field}[size(self.{field}) - 1] == {last}",
        holds=holds,
        at=field,
        got=lambda part: str(list(getattr(part, name))),
    )


def unique(name: str, key: str) -> Rule:
    """Named parts must have names of their own. In the CRD the list is a map by this key, which holds the same."""

    def keys(part: Any) -> list[str]:
        return [getattr(item, key) for item in getattr(part, name)]

    return Rule(
        message=f"every {key} in {to_camel(name)} must be used once",
        cel="",
        holds=lambda part: len(keys(part)) == len(set(keys(part))),
        at=to_camel(name),
        got=lambda part: ", ".join(keys(part)),
    )


def unique_pairs(name: str, first: str, second: str) -> Rule:
    """Parts that two optional texts name together must have names of their own."""
    field = to_camel(name)
    same = " && ".join(
        f"(has(a.{key}) ? a.{key} : '') == (has(b.{key}) ? b.{key} : '')" for key in (first, second)
    )

    def pairs(part: Any) -> list[tuple[str, str]]:
        return [(getattr(row, first) or "", getattr(row, second) or "") for row in getattr(part, name)]

    return Rule(
        message=f"every {first} and {second} in {field} must be used once together",
        cel=f"self.{field}.all(a, self.{field}.exists_one(b, {same}))",
        holds=lambda part: len(pairs(part)) == len(set(pairs(part))),
        at=field,
        got=lambda part: ", ".join(" ".join(pair).strip() for pair in pairs(part)),
    )


def refers_to(name: str, key: str, named: str) -> Rule:
    """What the parts of one list name, by an optional text, must be a name of another list beside it."""
    field, target = to_camel(name), to_camel(named)

    def known(part: Any) -> list[str]:
        return [item.name for item in getattr(part, named)]

    def unknown(part: Any) -> list[str]:
        given = (getattr(row, key) for row in getattr(part, name))
        return [text for text in given if text is not None and text not in known(part)]

    def found(part: Any) -> str:
        guesses = ((text, did_you_mean(text, known(part))) for text in unknown(part))
        return ", ".join(f"{text} ({guess})" if guess else text for text, guess in guesses)

    return Rule(
        message=f"every {key} in {field} must be one of {target}",
        cel=f"self.{field}.all(row, !has(row.{key}) || self.{target}.exists(item, item.name == row.{key}))",
        holds=lambda part: not unknown(part),
        at=field,
        got=found,
    )


def stored(name: str) -> Rule:
    """A URI must be a path or have a scheme that our storage knows."""
    field = to_camel(name)
    return Rule(
        message=f"{field} must be a path or start with file://, s3:// or gs://",
        cel=_is_stored(f"self.{field}", f"has(self.{field})"),
        holds=lambda part: getattr(part, name) is None or is_stored(getattr(part, name)),
        at=field,
        got=lambda part: _with_remedy(str(getattr(part, name))),
    )


def _with_remedy(uri: str) -> str:
    """Return a URI that our storage does not know, with what to do instead where that is known."""
    uri = without_password(uri)
    scheme, separator, rest = uri.partition("://")
    if separator and f"{scheme.lower()}://" in STORAGE_SCHEMES:
        return f"{uri}: write {scheme.lower()}://{rest}"
    if scheme.lower() in ("s3a", "s3n"):
        return f"{uri}: write s3://{rest}"
    if not separator:
        return f"{uri}: {_mistyped(uri)}"
    if not uri.startswith("hf://"):
        return uri
    kind, _, rest = uri.removeprefix("hf://").partition("/")
    name = "/".join(rest.split("/")[:2])
    said = f"{name} --repo-type dataset" if kind == "datasets" else uri.removeprefix("hf://")
    return f"{uri}: fetch it before the run (hf download {said} --local-dir FOLDER), then give the folder"


def _mistyped(uri: str) -> str:
    if uri.startswith(("~", "$")):
        return "no shell fills it in here, write the whole path"
    scheme, rest = re.match(r"([A-Za-z0-9]+)[:/]+(.*)", uri).groups()  # type: ignore[union-attr]
    return f"write {scheme.lower()}://{'/' if scheme.lower() == 'file' else ''}{rest}"


def all_stored(name: str) -> Rule:
    """Every URI of a list must be a path or have a scheme that our storage knows."""
    must = "be a path or start with file://, s3:// or gs://"
    return _each(name, must, _is_stored("uri", ""), is_stored, _with_remedy)


def cloneable(name: str) -> Rule:
    """Every address of a list must be one that git clones, not a page of the repository or half an address."""
    return _each(name, "be what git clones by https, ssh or a path", _CLONEABLE, is_cloneable, _repository)


def _each(name: str, must: str, cel: str, holds: Callable[[str], bool], told: Callable[[str], str]) -> Rule:
    """What every ``uri`` of a list must be; ``told`` says what is wrong with one."""
    field = to_camel(name)
    return Rule(
        message=f"each of {field} must {must}",
        cel=f"self.{field}.all(uri, {cel})",
        holds=lambda part: all(map(holds, getattr(part, name))),
        at=field,
        got=lambda part: ", ".join(told(uri) for uri in getattr(part, name) if not holds(uri)),
    )


def is_cloneable(url: str) -> bool:
    """Tell whether git may be given an address: a repository's own, by https, ssh or a path."""
    is_folder = PAGE in url and url.startswith(GITHUB) and not url.startswith(f"{GITHUB[:-1]}{PAGE}")
    return "/-/" not in url and not is_folder and not url.startswith(NO_REPOSITORY)


_CLONEABLE = " && ".join(
    [
        *(f"!uri.startsWith('{start}')" for start in NO_REPOSITORY),
        "!uri.contains('/-/')",
        # An owner may be called so: https://github.com/tree/x is a repository.
        f"(!uri.startsWith('{GITHUB}') || uri.startsWith('{GITHUB[:-1]}{PAGE}') || !uri.contains('{PAGE}'))",
    ]
)


def _repository(url: str) -> str:
    """Return an address that git does not clone, and the one that was meant where it can be read from it."""
    page = re.match(r"(https://[^/]+/.+?)/-/|(https://github\.com/[^/]+/[^/]+)/[a-z]+/", url)
    scheme, separator, rest = url.partition("://")
    meant = ""
    if page:
        meant = f"{page[1] or page[2]}, and a branch or commit in ref"
    elif not separator:
        meant = f"https://{url}"
    elif scheme in ("http", "git"):
        meant = f"https://{rest}"
    return f"{without_password(url)}: write {without_password(meant)}" if meant else without_password(url)


def tracking_server(name: str) -> Rule:
    """An address of MLflow must not be a host and port without its scheme: MLflow takes the host for a scheme."""
    field = to_camel(name)
    return Rule(
        message=f"{field} must be a path or begin with a scheme, as http://mlflow:5000",
        cel=f"!self.{field}.matches(r'{MLFLOW_HOST}')",
        holds=lambda part: not re.search(MLFLOW_HOST, getattr(part, name)),
        at=field,
        got=lambda part: str(getattr(part, name)),
    )


def without_password(text: str) -> str:
    """Return a text without the user and password of a URL in it: messages end up in logs."""
    return re.sub(r"(?<=://)[^/@\s\"]+(?=@)", "...", text)


def is_stored(uri: str) -> bool:
    """Tell whether the storage module can reach a URI."""
    return uri.startswith(STORAGE_SCHEMES) if "://" in uri else not (uri == "~" or uri.startswith(NO_PATH))


def _is_stored(value: str, given: str) -> str:
    absent = [f"!{given}"] if given else []
    known = [f"{value}.startsWith('{scheme}')" for scheme in STORAGE_SCHEMES]
    path = [
        f"!{value}.contains('://')",
        f"{value} != '~'",
        *(f"!{value}.startsWith('{start}')" for start in NO_PATH),
    ]
    return " || ".join([*absent, f"({' && '.join(path)})", *known])


def _given(part: Any, names: tuple[str, ...]) -> list[str]:
    return [to_camel(name) for name in names if getattr(part, name) is not None]
