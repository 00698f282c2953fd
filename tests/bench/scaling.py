"""Three real runs, the law that is fitted to them, and a fourth run that it has not seen (`daybreak scale`).

Each run trains on other code of this environment's packages than it is measured on, with the defaults of its size: the
peak rate and batch that a manifest without `training.schedule` gets. Tokens grow with the size, as runs that are
compute-optimal do, but not in step with it: runs of one ratio would not tell what either number does.
"""

from __future__ import annotations

import sys

from daybreak_contracts.planning import recipe, schedule
from daybreak_contracts.planning.sizes import Dimensions
from daybreak_model.llama.sizes import num_parameters
from daybreak_pipelines.scaling import law
from daybreak_pipelines.scaling.law import ScaledRun
from tests.bench.row import Row
from tests.bench.sweep import VOCABULARY, held_out_loss, packed_code

BATCH = 1024
RUNS = (
    ("48 wide", Dimensions(48, 2, 1, 1, 144), 400_000),
    ("80 wide", Dimensions(80, 3, 2, 1, 240), 600_000),
    ("1m", Dimensions(128, 4, 2, 1, 384), 1_200_000),
    ("192 wide", Dimensions(192, 5, 3, 1, 576), 2_000_000),
)
"""Name, shape, tokens; the last one is foretold."""


def measure() -> list[Row]:
    """Train all four, fit the law to the first three, and hold the fourth against what it says."""
    data = packed_code(max(tokens for _, _, tokens in RUNS))
    runs = []
    for name, dims, tokens in RUNS:
        parameters = num_parameters(dims, VOCABULARY)
        length = tokens / (recipe.TOKENS_PER_PARAMETER * parameters)
        rate = schedule.default_peak_rate(
            parameters, BATCH / schedule.default_batch_tokens(parameters, length)
        )
        runs.append(ScaledRun(name, parameters, tokens, held_out_loss(dims, tokens, BATCH, rate, data)))
        print(runs[-1], f"peak rate {rate:g}", file=sys.stderr, flush=True)
    *known, last = runs
    fitted = law.fit(known)
    told = fitted.predict(last.parameters, last.tokens)
    note = "; ".join(
        f"{run.name}, {run.parameters / 1e6:.2f} M, {run.tokens / 1e6:g} M tokens: {run.loss:.3f}"
        for run in known
    )
    what = f"held-out loss of the fourth ({last.parameters / 1e6:.2f} M, {last.tokens / 1e6:g} M tokens)"
    return [
        Row(f"{what}, trained", last.loss, "nats", "", note=note),
        Row(
            f"{what}, foretold from three",
            told.likely,
            "nats",
            "within its interval",
            note=f"{told.low:.3f} to {told.high:.3f}",
        ),
        Row(
            "off by", 100 * abs(told.likely - last.loss) / last.loss, "%", "", note="; ".join(fitted.warnings)
        ),
    ]
