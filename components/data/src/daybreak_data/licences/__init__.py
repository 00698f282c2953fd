"""Licences: what a file, its folder and its repository say about it.

Owns which files give evidence, what they say as SPDX expressions, and whose word counts for a document. Does not
read sources, and drops nothing itself.
"""

from __future__ import annotations

from daybreak_data.licences.evidence import Evidence, evidence_of, gives_evidence
from daybreak_data.licences.expression import UNKNOWN, is_permitted, spdx_of
from daybreak_data.licences.headers import spdx_header
from daybreak_data.licences.notices import notice_header
from daybreak_data.licences.repositories import RepositoryLicences

CODE_VERSION = 3

__all__ = [
    "CODE_VERSION",
    "UNKNOWN",
    "Evidence",
    "RepositoryLicences",
    "evidence_of",
    "gives_evidence",
    "is_permitted",
    "notice_header",
    "spdx_header",
    "spdx_of",
]
