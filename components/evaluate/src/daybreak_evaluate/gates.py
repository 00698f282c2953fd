"""Gates, as the evaluation meets them: refused before any work when no suite reports their metric.

The comparison itself is in the contracts: the operator holds scores against the gates of the day.
"""

from __future__ import annotations

from collections.abc import Sequence

from daybreak_contracts.errors import UserError
from daybreak_contracts.gates import failed_gates, unknown_gates
from daybreak_contracts.resources.run import Gate

__all__ = ["check_metrics", "failed_gates"]


def check_metrics(gates: Sequence[Gate], known: Sequence[str]) -> None:
    """Refuse a gate on a metric that no suite will report; called before any work."""
    for sentence in unknown_gates(gates, known):
        raise UserError(sentence)
