"""Small charts as inline SVG and HTML: values in, text out. Nothing is loaded, nothing runs in the page."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

WIDTH, HEIGHT = 680, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40
MAX_POINTS = 400


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Return horizontal bars for (name, value, label); lengths are relative to the largest value."""
    largest = max((value for _, value, _ in rows), default=0.0) or 1.0
    lines = []
    for name, value, label in rows:
        width = 100 * value / largest
        lines.append(
            f"<div class=bar><span>{html.escape(name)}</span>"
            f'<i><em style="width:{width:.2f}%"></em></i><b>{html.escape(label)}</b></div>'
        )
    return f"<div class=bars>{''.join(lines)}</div>"


def thin(points: Sequence[tuple[float, float]], most: int = MAX_POINTS) -> list[tuple[float, float]]:
    """Return at most ``most`` points: the mean of equal runs of neighbours, ends kept in place."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / most)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


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


def curve(points: Sequence[tuple[float, float]], x_title: str, y_title: str) -> str:
    """Return a line chart; fewer than two points give a sentence instead."""
    if len(points) < 2:
        return "<p>Too few points for a curve.</p>"
    shown = thin(points)
    x_high = max(x for x, _ in shown)
    y_low = min(0.0, *(y for _, y in shown))
    y_high = max(y_low, *(y for _, y in shown))
    y_high += 0.05 * (y_high - y_low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / x_high
        down = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (y - y_low) / (y_high - y_low))
        return across, down

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in shown))
    marks = []
    for value in ticks(y_low, y_high):
        _, y = place(0, value)
        marks.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        marks.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(0, x_high):
        x, _ = place(value, y_low)
        marks.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_short(value)}</text>'
        )
    titles = (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{html.escape(x_title)}</text>'
        f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {HEIGHT / 2})">{html.escape(y_title)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(y_title)}">'
        f'{"".join(marks)}<polyline points="{path}" class="line"/>{titles}</svg>'
    )


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
