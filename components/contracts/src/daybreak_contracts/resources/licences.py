"""The identifiers of the SPDX licence list, and which of them a manifest may name."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from daybreak_contracts.resources.fields import LICENCE_PATTERN, Resource


@dataclass(frozen=True)
class SpdxList:
    """The licence list; identifiers are looked up in lower case, as SPDX compares them."""

    names: dict[str, str]
    """Identifier to the licence's full name."""
    known: dict[str, str]
    """Identifier in lower case to its own spelling."""
    deprecated: dict[str, str]
    """Identifiers that SPDX has withdrawn, in lower case."""
    exceptions: dict[str, str]
    """What may stand behind WITH."""


@cache
def spdx_list() -> SpdxList:
    """Return the list that this package ships."""
    text = (resources.files("daybreak_contracts") / "resources" / "spdx.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return SpdxList(
        names=content["licences"],
        known={name.lower(): name for name in content["licences"]},
        deprecated={name.lower(): name for name in content["deprecated"]},
        exceptions={name.lower(): name for name in content["exceptions"]},
    )


def _known_licence(text: str) -> str:
    """Return the identifier in the list's spelling; one that is not there is refused with the nearest."""
    known = spdx_list().known
    if text.lower() in known:
        return known[text.lower()]
    replaced = [known[near] for near in (f"{text.lower()}-only", f"{text.lower()}-or-later") if near in known]
    near = replaced or [
        known[name] for name in difflib.get_close_matches(text.lower(), known, n=1, cutoff=0.5)
    ]
    guess = f", did you mean {' or '.join(near)}?" if near else ", see https://spdx.org/licenses/"
    raise PydanticCustomError(
        "licence", "{text} is no identifier of the SPDX licence list{guess}", {"text": text, "guess": guess}
    )


LicenceId = Annotated[
    str,
    StringConstraints(pattern=LICENCE_PATTERN, min_length=1, max_length=64),
    AfterValidator(_known_licence),
]
"""An identifier of the SPDX licence list."""


class Licences(Resource):
    """Which licences a file may have. Of a choice (OR) one must be allowed, of a sum (AND) each."""

    allow: Annotated[tuple[LicenceId, ...], Field(max_length=128)] = ()
    """Only these, as SPDX writes them (MIT, Apache-2.0); empty allows all."""
    deny: Annotated[tuple[LicenceId, ...], Field(max_length=128)] = ()
    """None of these, also where they are allowed."""
    unknown: Literal["Keep", "Drop"] = "Keep"
    """What happens to files for which no licence was found."""
