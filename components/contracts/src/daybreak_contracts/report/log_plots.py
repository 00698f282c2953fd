"""Inline SVG of curves and points over a logarithmic axis, as a law of scaling is shown. Owns no number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from daybreak_contracts.report import plots

WIDTH, HEIGHT = 680, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 96, 12, 40
_DOT = Markup('<g><title>{}</title><circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"/></g>')
_BAR = Markup('<line class="line" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>')


@dataclass(frozen=True)
class LogCurve:
    """A line from its first point to its last, with a name at its end."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Dot:
    """A point and what a pointer over it reads; one with a range was predicted."""

    title: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Frame:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    @classmethod
    def around(cls, curves: Sequence[LogCurve], dots: Sequence[Dot]) -> _Frame:
        points = [point for curve in curves for point in curve.points]
        xs = [x for x, _ in points] + [dot.x for dot in dots]
        ys = [y for _, y in points] + [y for dot in dots for y in (dot.y, dot.low, dot.high) if y is not None]
        margin = 0.05 * (max(ys) - min(ys)) or 1.0
        return cls(min(xs) / 1.1, max(xs) * 1.1, min(ys) - margin, max(ys) + margin)

    def across(self, x: float) -> float:
        share = math.log(x / self.x_low) / math.log(self.x_high / self.x_low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, y: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - self.y_low) / (self.y_high - self.y_low))


def law(curves: Sequence[LogCurve], dots: Sequence[Dot], x_title: str, y_title: str) -> Markup:
    """Return the plot; all x are above 0."""
    frame = _Frame.around(curves, dots)
    parts = []
    for value in plots.ticks(frame.y_low, frame.y_high):
        parts.append(plots.LINE.format("grid", LEFT, WIDTH - RIGHT, frame.down(value), frame.down(value)))
        parts.append(plots.TEXT.format(LEFT - 8, frame.down(value) + 4, "end", plots.short(value)))
    for value in decades(frame.x_low, frame.x_high):
        parts.append(
            plots.TEXT.format(frame.across(value), HEIGHT - BOTTOM + 16, "middle", plots.short(value))
        )
    for curve in curves:
        line = " ".join(f"{frame.across(x):.1f},{frame.down(y):.1f}" for x, y in curve.points)
        parts.append(plots.POLYLINE.format(line))
        x, y = curve.points[-1]
        parts.append(plots.TEXT.format(frame.across(x) + 6, frame.down(y) + 3, "start", curve.name))
    for dot in dots:
        predicted = dot.low is not None and dot.high is not None
        if dot.low is not None and dot.high is not None:
            parts.append(_BAR.format(frame.across(dot.x), frame.down(dot.low), frame.down(dot.high)))
        css = "predicted" if predicted else "made"
        parts.append(_DOT.format(dot.title, css, frame.across(dot.x), frame.down(dot.y)))
    parts.append(plots.TEXT.format(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 6, "middle", x_title))
    parts.append(plots.TURNED.format(HEIGHT / 2, y_title))
    return plots.SVG.format("plot wide", WIDTH, HEIGHT, y_title, Markup("").join(parts))


def decades(low: float, high: float) -> list[float]:
    """Return the round values of a logarithmic axis: powers of ten, and 2 and 5 of each where few fit.

    >>> decades(5e5, 6e6), decades(1e3, 1e6)
    ([500000.0, 1000000.0, 2000000.0, 5000000.0], [1000.0, 10000.0, 100000.0, 1000000.0])
    """
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    factors = (1, 2, 5) if high / low < 1e3 else (1,)
    return [
        factor * power for power in powers for factor in factors if low <= factor * power <= high * 1.0001
    ]
