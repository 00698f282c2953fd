"""Whether the suites that manifests name are registered on this machine (decision 0094).

Only people's commands ask: the operator and the API server have no plug-ins and take any name of the right form.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_contracts.manifests.validate import load_run, runs_of


def unknown_suites(paths: Sequence[Path]) -> list[str]:
    """Return a line for each suite of valid manifests that nobody registered here."""
    if importlib.util.find_spec("daybreak_evaluate") is None:
        return []  # an image of the pipelines alone: the evaluation's own will say it
    from daybreak_evaluate.suites import registry

    return [
        f"{path}: spec.{sentence}"
        for path in paths
        for run in runs_of(path)
        for sentence in registry.name_problems(run.spec.evaluation.suites)
    ]


def require_known_suites(path: Path) -> None:
    """Refuse a run before its training when its evaluation would find a name that nobody registered here."""
    load_run(path)  # all that is wrong with the manifest itself comes first
    for line in unknown_suites([path]):
        raise UserError(line)
