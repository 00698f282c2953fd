"""The page of one training step: what its numbers were and its worst samples as text.

Owns what is shown; ``replay.html.jinja`` has the order, ``daybreak_contracts.report`` the look. The text is other
people's code: the templates escape all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts.report import page, plots

TEMPLATE = "replay.html.jinja"
WORST = 10
MAX_TEXT = 4000
AROUND = 100
"""Steps of the loss plot on either side."""


def build(step: Mapping[str, Any], curve: list[tuple[float, float]]) -> str:
    """Return the page of a replayed step (its JSON) and of the losses (step, loss) around it."""
    near = [point for point in curve if abs(point[0] - step["step"]) <= AROUND]
    return page.render(
        "daybreak_pipelines.report",
        TEMPLATE,
        title=f"Step {step['step']} of {step['run']}",
        step=step,
        numbers=_numbers(step),
        curve=plots.curve(near, "step", "loss, nats per token"),
        worst=step["samples"][:WORST],
        max_text=MAX_TEXT,
    )


def _numbers(step: Mapping[str, Any]) -> dict[str, str]:
    names = {"loss": "loss", "grad_norm": "gradient norm", "lr": "rate", "tokens": "tokens seen"}
    found = {title: str(step["ledger"].get(name)) for name, title in names.items()}
    found["epoch"] = str(step["epoch"])
    found["losses of samples"] = f"by {step['weights']}"
    if step["whole"]:
        found["batch made again"] = (
            "the recorded one, token for token" if step["digest_matches"] else "NOT the recorded one"
        )
    if step["recomputed"] is not None:
        found["recomputed"] = step["recomputed"]["sentence"]
    return found
