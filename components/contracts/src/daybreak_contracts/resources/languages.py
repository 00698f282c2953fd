"""The names of languages that a manifest may use: linguist's, in lower case with dashes, and their aliases.

Owns: which spelling means which language. Its list, ``languages.json``, is written beside the data room's rules by
``components/data/scripts/transcribe_linguist.py``; how a file's language is found is the data room's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, StringConstraints
from pydantic_core import PydanticCustomError

LANGUAGE_ERROR = "language"
"""Type of the pydantic error that says that nobody knows a language."""
LANGUAGE_PATTERN = r"^[A-Za-z0-9][^\x00-\x1f\x7f]*$"


def canonical(text: str) -> str:
    """Return the name of a language in any known spelling; a dialect is named by its language."""
    name = spellings().get(text.lower())
    if name is None:
        raise PydanticCustomError(LANGUAGE_ERROR, "must be a language by linguist's name")
    return name


@cache
def spellings() -> Mapping[str, str]:
    """Return the name that each known spelling means."""
    path = resources.files("daybreak_contracts") / "resources" / "languages.json"
    named: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))["languages"]
    return {spelling: name for name, others in named.items() for spelling in (name, *others)}


Language = Annotated[
    str, StringConstraints(pattern=LANGUAGE_PATTERN, max_length=64), AfterValidator(canonical)
]
"""A language by linguist's name in lower case, as ``lua`` or ``objective-c``; ``cpp`` and ``csharp`` for C++ and C#."""
