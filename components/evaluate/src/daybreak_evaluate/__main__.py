"""``python -m daybreak_evaluate evaluate --args-file a.json --result r.json``."""

from __future__ import annotations

import sys

from daybreak_contracts import names, steps
from daybreak_evaluate.evaluate import run_evaluate

if __name__ == "__main__":
    sys.exit(steps.main({names.STEP_EVALUATE: steps.Step(steps.EvaluateArgs, run_evaluate)}))
