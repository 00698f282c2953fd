"""The page of a law of scaling: the runs, the law through them, what the next sizes would reach.

Owns what is shown; ``scaling.html.jinja`` has the order, ``daybreak_contracts.report`` the look.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from daybreak_contracts.report import log_plots, page, plots

TEMPLATE = "scaling.html.jinja"
POINTS = 60


def build(told: Mapping[str, Any]) -> str:
    """Return the page of a law (``daybreak scale``'s JSON)."""
    law = told["law"]
    return page.render(
        "daybreak_pipelines.report",
        TEMPLATE,
        title=f"Loss over size and tokens, from {len(told['runs'])} runs",
        lead=sentence(law),
        plot=_plot(told),
        warnings=told["warnings"],
        predictions=told["predictions"],
        runs=told["runs"],
        law={name: f"{law[name]:.4g}" for name in ("E", "A", "B", "alpha", "beta")},
    )


def sentence(law: Mapping[str, Any]) -> str:
    """Return the law in one line."""
    exponents = "fitted" if law["exponents_fitted"] else "published, not fitted"
    return (
        f"L = {law['E']:.3f} + {law['A']:,.4g} / N^{law['alpha']:.3f} + {law['B']:,.4g} / D^{law['beta']:.3f} "
        f"(exponents {exponents})"
    )


def _plot(told: Mapping[str, Any]) -> Any:
    entries = [*told["runs"], *told["predictions"]]
    first, last = min(one["tokens"] for one in entries), max(one["tokens"] for one in entries)
    sizes = sorted({one["parameters"] for one in entries})
    curves = [log_plots.LogCurve(plots.short(size), _curve(told["law"], size, first, last)) for size in sizes]
    dots = [
        log_plots.Dot(f"{one['name']}: {one['loss']:.3f}", one["tokens"], one["loss"]) for one in told["runs"]
    ]
    dots += [
        log_plots.Dot(
            f"{one['name']}, predicted: {one['likely']:.3f}",
            one["tokens"],
            one["likely"],
            one["low"],
            one["high"],
        )
        for one in told["predictions"]
    ]
    return log_plots.law(curves, dots, "training tokens", "held-out loss, nats per token")


def _curve(law: Mapping[str, Any], parameters: float, first: float, last: float) -> list[tuple[float, float]]:
    step = math.log(last / first) / (POINTS - 1)
    tokens = [first * math.exp(step * place) for place in range(POINTS)]
    floor = law["E"] + law["A"] / parameters ** law["alpha"]
    return [(one, floor + law["B"] / one ** law["beta"]) for one in tokens]
