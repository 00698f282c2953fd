"""A template and its values as one HTML page that loads nothing and runs nothing: it can be mailed.

Owns the base template, the macros and the style sheet beside it; a page's own template stands with its component and
extends ``base.html.jinja``. Everything is escaped that is not markup of ours: file names, model output and benchmark
tasks are hostile input.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from daybreak_contracts.report import formats

PACKAGE = "daybreak_contracts.report"


def render(package: str, template: str, **values: Any) -> str:
    """Return the page that a package's template makes of these values; equal values give equal bytes."""
    return environment(package).get_template(template).render(values)


@functools.cache
def environment(package: str = PACKAGE) -> Environment:
    """Return where a package's templates are rendered, with the formats as filters."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(PACKAGE, "."), PackageLoader(package, ".")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    named = (formats.number, formats.counted, formats.size, formats.percent, formats.words, formats.breakable)
    made.filters.update({one.__name__: one for one in named})
    style = resources.files(PACKAGE).joinpath("style.css").read_text(encoding="utf-8")
    made.globals["style"] = Markup(style)
    return made
