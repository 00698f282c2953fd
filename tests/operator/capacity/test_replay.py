"""The replay command: its table, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daybreak_operator.core.capacity.policies import NAMES
from daybreak_operator.replay import main
from daybreak_operator.shell.traces import trace_of

PUBLIC = {"metadata": {"gap_seconds": 195}, "data": [1, 1, 0, 1]}


@pytest.mark.slow
def test_all_policies_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trace", "synthetic:7", "--steps", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "synthetic:7: 9 zones, 60 steps of 195 s; 4 replicas; cost as a share of on-demand"
    assert [line.split()[0] for line in lines[2:]] == list(NAMES)


def test_a_folder_of_public_files_is_cut_to_its_shortest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zone-a.json").write_text(json.dumps(PUBLIC))
    (tmp_path / "zone-b.json").write_text(json.dumps(PUBLIC | {"data": [0, 1, 2]}))
    trace = trace_of(str(tmp_path))
    assert trace.capacity == {"zone-a": [1, 1, 0], "zone-b": [0, 1, 2]}
    assert main(["--trace", str(tmp_path), "--policy", "daybreak", "--replicas", "1"]) == 0
    assert "2 zones, 3 steps of 195 s; 1 replicas" in capsys.readouterr().out


def test_one_file_may_hold_all_zones_and_prices(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"gapSeconds": 60, "zones": {"a": [1], "b": [0]}, "prices": {"a": 0.25}}))
    trace = trace_of(str(file))
    assert (trace.name, trace.step_s, trace.capacity) == ("mine", 60, {"a": [1], "b": [0]})
    assert (trace.price(("spot", "a")), trace.price(("spot", "b")), trace.price(("on-demand", "a"))) == (
        0.25,
        0.33,
        1,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(
            ["--trace", "synthetic:x"], "the seed must be a whole number", id="a seed that is no number"
        ),
        pytest.param(["--trace", "nowhere.json"], "No such file", id="no such file"),
        pytest.param(
            ["--trace", "synthetic:1", "--policy", "best"],
            "--policy best is unknown: choose",
            id="no such policy",
        ),
        pytest.param(
            ["--trace", "synthetic:1", "--replicas", "0"],
            "--replicas must be between 1 and 100",
            id="no replicas",
        ),
        pytest.param(["--trace", "synthetic:1", "--steps", "0"], "--steps must be 1 or more", id="no steps"),
    ],
)
def test_bad_options_end_with_2_and_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("{", "is no JSON", id="no JSON"),
        pytest.param("[1]", "must hold a JSON object", id="a bare list"),
        pytest.param('{"data": [1]}', "the seconds of a step", id="no gap"),
        pytest.param(
            '{"metadata": {"gap_seconds": 0}, "data": [1]}', "above 0, got 0", id="a gap of nothing"
        ),
        pytest.param('{"metadata": {"gap_seconds": 5}, "data": []}', "data must be a list", id="no steps"),
        pytest.param(
            '{"metadata": {"gap_seconds": 5}, "data": [1, -1]}', "data[1] must be", id="a negative number"
        ),
        pytest.param(
            '{"metadata": {"gap_seconds": 5}, "data": [1, true]}', "data[1] must be", id="a truth value"
        ),
        pytest.param('{"gapSeconds": 5, "zones": {}}', "at least one zone", id="no zones"),
        pytest.param(
            '{"gapSeconds": 5, "zones": {"a": [1], "b": []}}', "zones.b must be", id="an empty zone"
        ),
        pytest.param(
            '{"gapSeconds": 5, "zones": {"a": [1], "b": [1, 1]}}',
            "same number of steps",
            id="zones of two lengths",
        ),
        pytest.param(
            '{"gapSeconds": 5, "zones": {"a": [1]}, "prices": {"a": "x"}}',
            "prices must be numbers",
            id="a price in words",
        ),
    ],
)
def test_a_bad_file_ends_with_2_and_a_sentence(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "trace.json"
    file.write_text(text)
    assert main(["--trace", str(file)]) == 2
    assert sentence in capsys.readouterr().err


def test_zones_with_steps_of_different_length_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(PUBLIC))
    (tmp_path / "b.json").write_text(json.dumps(PUBLIC | {"metadata": {"gap_seconds": 300}}))
    assert main(["--trace", str(tmp_path)]) == 2
    assert "steps of the same length, got a.json 195 s, b.json 300 s" in capsys.readouterr().err


def test_a_folder_without_traces_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trace", str(tmp_path)]) == 2
    assert "holds no .json file" in capsys.readouterr().err
