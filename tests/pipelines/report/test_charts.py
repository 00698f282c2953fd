"""Charts: what is drawn is what was given, whatever it is."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_pipelines.report import charts

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.floats(1, 1e9), FINITE), min_size=2, max_size=900))
def test_a_curve_is_well_formed_and_stays_inside_its_frame(points: list[tuple[float, float]]) -> None:
    picture = ET.fromstring(charts.curve(sorted(points), "x", "y"))
    line = picture.find("polyline")
    assert line is not None
    for pair in line.attrib["points"].split():
        x, y = map(float, pair.split(","))
        assert charts.LEFT - 1 <= x <= charts.WIDTH - charts.RIGHT + 1
        assert charts.TOP - 1 <= y <= charts.HEIGHT - charts.BOTTOM + 1


def test_too_few_points_say_so() -> None:
    assert "Too few" in charts.curve([(1, 1)], "x", "y")


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=2000))
def test_thinning_keeps_the_mean_and_the_last_place(points: list[tuple[float, float]]) -> None:
    thinned = charts.thin(points, 100)
    assert len(thinned) <= 100
    assert thinned[-1][0] == points[-1][0]
    assert min(y for _, y in points) - 1e-6 <= thinned[0][1] <= max(y for _, y in points) + 1e-6


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_rising_and_inside(low: float, span: float) -> None:
    found = charts.ticks(low, low + span)
    assert len(found) <= 6
    assert found == sorted(found)
    assert all(low - span * 1e-3 <= tick <= low + span * 1.001 for tick in found)


def test_equal_ends_give_one_tick() -> None:
    assert charts.ticks(3, 3) == [3]


def test_names_are_escaped() -> None:
    drawn = charts.bars([("<script>alert(1)</script>", 1, "<b>")])
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


@pytest.mark.parametrize("rows", [[], [("a", 0.0, "0")]], ids=["no rows", "all zero"])
def test_bars_without_length(rows: list[tuple[str, float, str]]) -> None:
    assert "nan" not in charts.bars(rows)
