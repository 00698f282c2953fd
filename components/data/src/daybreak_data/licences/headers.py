"""The licence that a file names itself, in a comment: ``SPDX-License-Identifier``."""

from __future__ import annotations

import re

from daybreak_data.licences.expression import UNKNOWN, spdx_of
from daybreak_data.text.leading_comments import MAX_HEAD_CHARS, leading_comments

_TAG = "SPDX-License-Identifier:"
# To the end of the line or of the comment; a wrapped expression is not read on.
_LINE = re.compile(re.escape(_TAG) + r"[ \t]*([\w.+() \t-]+)")


def spdx_header(text: str, language: str) -> str:
    """Return the expression of a file's own tags, empty when it has none. Several tags all count."""
    if _TAG not in text[:MAX_HEAD_CHARS]:
        return ""
    found = [spdx_of(_trimmed(match[1])) for match in _LINE.finditer(leading_comments(text, language))]
    distinct = list(dict.fromkeys(expression for expression in found if expression != UNKNOWN))
    if len(distinct) > 1:
        return spdx_of(" AND ".join(f"({expression})" for expression in distinct))
    return distinct[0] if distinct else UNKNOWN if found else ""


def _trimmed(text: str) -> str:
    """Return an expression without the rest of the comment's frame."""
    return text.strip().rstrip("-").strip()
