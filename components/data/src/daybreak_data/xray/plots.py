"""The x-ray's plots as inline SVG: stacked histograms and one bar that shows where the bytes went.

Colours are CSS classes of the page (``s0`` .. ``s7``), so they follow light and dark. Everything that comes from
data is escaped here. Owns no number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 280, 168
LEFT, RIGHT, TOP, BOTTOM = 32, 18, 8, 24


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


def number(value: float) -> str:
    """Return a count for a person: ``12,345``."""
    return f"{value:,.0f}"


def short(value: float) -> str:
    """Return a short number for an axis.

    >>> [short(value) for value in (0, 7, 950, 1500, 24_000, 3_200_000)]
    ['0', '7', '950', '1.5k', '24k', '3.2M']
    """
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.1f}".removesuffix(".0") + unit
    return f"{value:.0f}"


def size(value: float) -> str:
    """Return bytes for a person, in powers of ten.

    >>> [size(value) for value in (0, 999, 12_345, 78_200_000, 3.2e9)]
    ['0 B', '999 B', '12.3 kB', '78.2 MB', '3.2 GB']
    """
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value:.0f} B"


def percent(share: float) -> str:
    """Return a share for a person: no ``0 %`` for what is there, no ``100 %`` for what is not all.

    >>> [percent(share) for share in (0, 0.0004, 0.031, 0.5, 0.9999, 1)]
    ['0 %', '<0.1 %', '3.1 %', '50 %', '>99.9 %', '100 %']
    """
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share < 0.001:
        return "<0.1 %"
    if share > 0.999:
        return ">99.9 %"
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def nice_ticks(highest: float, count: int = 3) -> list[float]:
    """Return about ``count`` round values from 0 up to at least the highest.

    >>> nice_ticks(870), nice_ticks(3)
    ([0, 500.0, 1000.0], [0, 1.0, 2.0, 3.0])
    """
    if highest <= 0:
        return [0, 1]
    raw = highest / count
    power = 10 ** math.floor(math.log10(raw))
    step = max(1.0, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw))
    return [0, *[step * place for place in range(1, math.ceil(highest / step) + 1)]]


def histogram(bins: Bins, series: Sequence[Series], caption: str) -> Markup:
    """Return a stacked histogram; ``caption`` is what a screen reader says."""
    totals = [sum(one.values[place] for one in series) for place in range(len(bins.titles))]
    ticks = nice_ticks(max(totals, default=0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(totals))
    scale = (HEIGHT - TOP - BOTTOM) / ticks[-1]
    parts = [_grid(ticks, scale), *_labels(bins.labels, step)]
    for place, title in enumerate(bins.titles):
        parts.append(_stack(place, title, totals[place], series, step, scale))
    inner = "".join(parts)
    return Markup(
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(caption)}">{inner}</svg>'
    )


def _grid(ticks: Sequence[float], scale: float) -> str:
    lines = []
    for tick in ticks:
        y = HEIGHT - BOTTOM - tick * scale
        css = "axis" if tick == 0 else "grid"
        lines.append(f'<line class="{css}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
        )
    return "".join(lines)


def _labels(labels: Sequence[tuple[int, str]], step: float) -> list[str]:
    y = HEIGHT - BOTTOM + 15
    return [
        f'<text class="tick" x="{LEFT + place * step:.1f}" y="{y}" text-anchor="middle">{escape(text)}</text>'
        for place, text in labels
    ]


def _stack(place: int, title: str, total: float, series: Sequence[Series], step: float, scale: float) -> str:
    x, y = LEFT + place * step + 0.75, float(HEIGHT - BOTTOM)
    rows = [f"{title}: {number(total)} files"]
    rects = []
    for one in series:
        value = one.values[place]
        if not value:
            continue
        tall = value * scale
        y -= tall
        rows.append(f"{one.name} {number(value)}")
        rects.append(
            f'<rect class="{one.css}" x="{x:.2f}" y="{y:.2f}" width="{max(step - 1.5, 1):.2f}" height="{tall:.2f}"/>'
        )
    return f"<g><title>{escape(chr(10).join(rows))}</title>{''.join(rects)}</g>" if rects else ""


def ribbon(parts: Sequence[tuple[str, str, float]], caption: str) -> Markup:
    """Return one wide bar cut by share; ``tables`` are name, CSS class and value, in the order drawn."""
    total = sum(value for _, _, value in parts) or 1
    x, rects = 0.0, []
    for name, css, value in parts:
        width = 1000 * value / total
        label = escape(f"{name}: {size(value)}, {percent(value / total)}")
        rects.append(
            f'<rect class="{css}" x="{x:.2f}" y="0" width="{max(width - 1.5, 0.8):.2f}" height="44">'
            f"<title>{label}</title></rect>"
        )
        x += width
    inner = "".join(rects)
    return Markup(
        f'<svg class="ribbon" viewBox="0 0 1000 44" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(caption)}">{inner}</svg>'
    )
