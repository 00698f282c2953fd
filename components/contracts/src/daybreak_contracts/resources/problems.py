"""A user's own file of evaluation problems, as a manifest says it: for a suite, and for what must not be trained on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from daybreak_contracts.resources import rules
from daybreak_contracts.resources.fields import LICENCE_PATTERN, Digest, Resource, Uri
from daybreak_contracts.resources.languages import Language

ProblemFormat = Literal[
    "HumanEval",
    "HumanEvalX",
    "MultiPLE",
    "Mxeval",
    "HumanEvalInfilling",
    "Safim",
    "Mbpp",
    "Apps",
    "CodeContests",
    "LiveCodeBench",
    "Repository",
]
"""Public formats by the name of the project that made them; Repository: what ``daybreak tasks`` wrote."""


class ProblemFile(Resource):
    """One file of problems. It is read where it lies and copied into no artifact."""

    rules = (rules.stored("uri"),)
    list_keys = ("uri",)

    uri: Uri
    """The file: `.jsonl`, `.jsonl.gz`, a JSON array (`.json`), or `.parquet`."""
    sha256: Digest
    """Its digest, as `sha256sum FILE` says it; a file that has changed is refused."""
    format: ProblemFormat
    """Whose fields its rows have; Repository is what `daybreak tasks` writes."""


class Problems(ProblemFile):
    """The problems of a suite."""

    language: Language | None = None
    """Only problems in this language; absent means all. Needed where neither format nor rows say it."""
    licence: Annotated[str, StringConstraints(pattern=LICENCE_PATTERN, max_length=64)] | None = None
    """The file's licence, as MIT or LicenseRef-Own: it goes to the protocol of the scores. Absent means unknown."""
