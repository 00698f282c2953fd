"""Inline SVG for the pages: stacked histograms and curves.

Colours are CSS classes of the style sheet, so they follow light and dark. Everything that comes from data is escaped
here. Owns no number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from daybreak_contracts.report.formats import number

WIDTH, HEIGHT = 280, 168
LEFT, RIGHT, TOP, BOTTOM = 32, 18, 8, 24
CURVE_WIDTH, CURVE_HEIGHT = 680, 240
CURVE_LEFT, CURVE_RIGHT, CURVE_TOP, CURVE_BOTTOM = 52, 12, 12, 40
MAX_POINTS = 400
SVG = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
TEXT = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
LINE = Markup('<line class="{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
TURNED = Markup('<text x="14" y="{0}" text-anchor="middle" transform="rotate(-90 14 {0})">{1}</text>')
POLYLINE = Markup('<polyline points="{}" class="line"/>')
_MARK = Markup('<g class="mark"><title>{0}</title><line x1="{1:.1f}" x2="{1:.1f}" y1="{2}" y2="{3}"/></g>')
_NOTHING = Markup("")


@dataclass(frozen=True)
class Series:
    """One colour of a stacked histogram: a name and the value of each bin."""

    name: str
    css: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Bins:
    """The bins of a histogram: what a reader is told of each, and the labels below, by the edge they stand at."""

    titles: tuple[str, ...]
    labels: tuple[tuple[int, str], ...]


def short(value: float) -> str:
    """Return a short number for an axis.

    >>> [short(value) for value in (0, 0.25, 7, 950, 1500, 24_000, 1_250_000)]
    ['0', '0.25', '7', '950', '1.5k', '24k', '1.25M']
    """
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{unit}"
    return f"{value:.4g}"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return round values between low and high, at most ``count + 2`` of them.

    >>> ticks(0, 10)
    [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def thin(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most ``most`` points: the mean of equal runs of neighbours, ends kept in place."""
    if len(points) <= most:
        return list(points)
    length = math.ceil(len(points) / most)
    groups = [points[start : start + length] for start in range(0, len(points), length)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def histogram(bins: Bins, series: Sequence[Series], caption: str) -> Markup:
    """Return a stacked histogram; ``caption`` is what a screen reader says."""
    totals = [sum(one.values[place] for one in series) for place in range(len(bins.titles))]
    highest = max(totals, default=0) or 1
    marks = [mark for mark in ticks(0, highest, 3) if mark.is_integer()]
    step = (WIDTH - LEFT - RIGHT) / max(1, len(totals))
    scale = (HEIGHT - TOP - BOTTOM) / highest
    parts = []
    for mark in marks:
        y = HEIGHT - BOTTOM - mark * scale
        parts.append(LINE.format("grid" if mark else "axis", LEFT, WIDTH - RIGHT, y, y))
        parts.append(TEXT.format(LEFT - 6, y + 3.5, "end", short(mark)))
    parts += [
        TEXT.format(LEFT + place * step, HEIGHT - BOTTOM + 15, "middle", label)
        for place, label in bins.labels
    ]
    parts += [
        _stack(place, f"{title}: {number(totals[place])} files", series, step, scale)
        for place, title in enumerate(bins.titles)
    ]
    return SVG.format("plot", WIDTH, HEIGHT, caption, _NOTHING.join(parts))


def _stack(place: int, title: str, series: Sequence[Series], step: float, scale: float) -> Markup:
    x, y = LEFT + place * step + 0.75, float(HEIGHT - BOTTOM)
    rows, rects = [title], []
    for one in series:
        value = one.values[place]
        if value:
            y -= value * scale
            rows.append(f"{one.name} {number(value)}")
            rect = Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>')
            rects.append(rect.format(one.css, x, y, max(step - 1.5, 1), value * scale))
    stack = Markup("<g><title>{}</title>{}</g>").format("\n".join(rows), _NOTHING.join(rects))
    return stack if rects else _NOTHING


def curve(
    points: Sequence[tuple[float, float]],
    x_title: str,
    y_title: str,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
    """Return a line chart over the range of its values; fewer than two points give a sentence instead.

    The axis does not begin at 0: a loss falls from 8 to 4, and what matters is the last tenth of it. ``marks`` are
    places that a vertical line shows, with what a pointer over it reads.
    """
    if len(points) < 2:
        return Markup("<p>Too few points for a curve.</p>")
    shown = thin(points)
    x_high = max(x for x, _ in shown)
    y_low, y_high = min(y for _, y in shown), max(y for _, y in shown)
    margin = 0.05 * (y_high - y_low) or 1.0
    y_low, y_high = y_low - margin, y_high + margin
    width, height = CURVE_WIDTH - CURVE_LEFT - CURVE_RIGHT, CURVE_HEIGHT - CURVE_TOP - CURVE_BOTTOM

    def across(x: float) -> float:
        return CURVE_LEFT + width * x / x_high

    def down(y: float) -> float:
        return CURVE_TOP + height * (1 - (y - y_low) / (y_high - y_low))

    parts = []
    for value in ticks(y_low, y_high):
        parts.append(LINE.format("grid", CURVE_LEFT, CURVE_LEFT + width, down(value), down(value)))
        parts.append(TEXT.format(CURVE_LEFT - 8, down(value) + 4, "end", short(value)))
    for value in ticks(0, x_high):
        parts.append(TEXT.format(across(value), CURVE_HEIGHT - CURVE_BOTTOM + 16, "middle", short(value)))
    for x, said in marks:
        parts.append(_MARK.format(said, across(x), CURVE_TOP, CURVE_TOP + height))
    line = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in shown)
    parts.append(POLYLINE.format(line))
    parts.append(TEXT.format(CURVE_LEFT + width / 2, CURVE_HEIGHT - 6, "middle", x_title))
    parts.append(TURNED.format(CURVE_HEIGHT / 2, y_title))
    return SVG.format("plot wide", CURVE_WIDTH, CURVE_HEIGHT, y_title, _NOTHING.join(parts))
