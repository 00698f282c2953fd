"""The command line of the data component: one entry per step, each loading its heavy parts only when it runs."""

from __future__ import annotations

import sys

from daybreak_contracts import names, steps
from daybreak_contracts.progress import Progress


def _documents(args: steps.DocumentsArgs, progress: Progress) -> steps.DocumentsResult:
    from daybreak_data.documents import run_documents

    return run_documents(args, progress)


STEPS = {
    names.STEP_DOCUMENTS: steps.Step(steps.DocumentsArgs, _documents),
}

if __name__ == "__main__":
    sys.exit(steps.main(STEPS))
