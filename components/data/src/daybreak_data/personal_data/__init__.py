"""Personal data in source code: emails, IP addresses and keys; where they stand and what replaces them.

Owns the rules, the search and the replacement. Does not read files, nor decide which documents are kept
(``must_drop`` only tells what the manifest's handling asks for).
"""

from __future__ import annotations

from daybreak_data.personal_data.finding import Detection, Kind
from daybreak_data.personal_data.redaction import Redacted, must_drop, redact, stand_ins_for
from daybreak_data.personal_data.scan import CODE_VERSION, find_personal_data

__all__ = [
    "CODE_VERSION",
    "Detection",
    "Kind",
    "Redacted",
    "find_personal_data",
    "must_drop",
    "redact",
    "stand_ins_for",
]
