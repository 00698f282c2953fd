"""Plots and bars: what is drawn is what was given, whatever it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.report import page, plots

FINITE = st.floats(-1e6, 1e6)


def bars(rows: list[tuple[str, float, str]]) -> str:
    return str(page.environment().get_template("macros.html.jinja").module.bars(rows))


@given(st.lists(st.tuples(st.floats(1, 1e9), FINITE), min_size=2, max_size=900))
def test_a_curve_is_well_formed_and_stays_inside_its_frame(points: list[tuple[float, float]]) -> None:
    picture = ET.fromstring(plots.curve(sorted(points), "x", "y"))
    line = picture.find("polyline")
    assert line is not None
    for pair in line.attrib["points"].split():
        x, y = map(float, pair.split(","))
        assert plots.CURVE_LEFT - 1 <= x <= plots.CURVE_WIDTH - plots.CURVE_RIGHT + 1
        assert plots.CURVE_TOP - 1 <= y <= plots.CURVE_HEIGHT - plots.CURVE_BOTTOM + 1


@pytest.mark.parametrize(
    ("losses", "marks"),
    [
        pytest.param([8.3, 5.1, 4.2, 4.0], {"4", "6", "8"}, id="a-loss-fills-the-plot"),
        pytest.param([4.0, 4.0], {"4"}, id="a-flat-line-has-a-range"),
        pytest.param([-1.0, 3.0], {"0", "2"}, id="values-below-zero"),
    ],
)
def test_the_axis_of_a_curve_spans_its_values_and_not_zero(losses: list[float], marks: set[str]) -> None:
    picture = ET.fromstring(plots.curve([(10.0 * (at + 1), y) for at, y in enumerate(losses)], "x", "y"))
    beside = {text.text for text in picture.findall("text") if text.attrib.get("text-anchor") == "end"}
    assert marks <= {str(mark) for mark in beside}
    line = picture.find("polyline")
    assert line is not None
    heights = [float(pair.split(",")[1]) for pair in line.attrib["points"].split()]
    frame = plots.CURVE_HEIGHT - plots.CURVE_TOP - plots.CURVE_BOTTOM
    if max(losses) > min(losses):
        assert max(heights) - min(heights) > 0.85 * frame


def test_too_few_points_say_so() -> None:
    assert "Too few" in plots.curve([(1, 1)], "x", "y")


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=2000))
def test_thinning_keeps_the_mean_and_the_last_place(points: list[tuple[float, float]]) -> None:
    thinned = plots.thin(points, 100)
    assert len(thinned) <= 100
    assert thinned[-1][0] == points[-1][0]
    assert min(y for _, y in points) - 1e-6 <= thinned[0][1] <= max(y for _, y in points) + 1e-6


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_rising_and_inside(low: float, span: float) -> None:
    found = plots.ticks(low, low + span)
    assert len(found) <= 6
    assert found == sorted(found)
    assert all(low - span * 1e-3 <= tick <= low + span * 1.001 for tick in found)


def test_equal_ends_give_one_tick() -> None:
    assert plots.ticks(3, 3) == [3]


def test_names_are_escaped() -> None:
    drawn = bars([("<script>alert(1)</script>", 1, "<b>")])
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


@pytest.mark.parametrize("rows", [[], [("a", 0.0, "0")]], ids=["no rows", "all zero"])
def test_bars_without_length(rows: list[tuple[str, float, str]]) -> None:
    assert "nan" not in bars(rows)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=4))
def test_a_histogram_stays_inside_its_frame(values: list[list[int]]) -> None:
    series = [
        plots.Series(f"l{place}", f"s{place}", tuple(map(float, row))) for place, row in enumerate(values)
    ]
    bins = plots.Bins(("a", "b", "c"), ((0, "0"), (3, "3")))
    svg = plots.histogram(bins, series, "caption")
    ET.fromstring(svg)
    tops = [float(found) for found in re.findall(r'<rect [^>]*y="([\d.-]+)"', svg)]
    assert all(top >= plots.TOP - 0.01 for top in tops)
    assert len(tops) == sum(value > 0 for row in values for value in row)
