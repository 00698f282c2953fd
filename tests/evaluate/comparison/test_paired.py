"""Two models task by task: the exact test against scipy, ties, tasks of one alone, several samples, words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from daybreak_contracts.errors import UserError
from daybreak_evaluate.comparison import page, records
from daybreak_evaluate.comparison.paired import compare, sign_test


@pytest.mark.slow
@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        pytest.param(12, 4, 0.076813, id="twelve and four"),
        pytest.param(0, 0, 1.0, id="no difference"),
        pytest.param(5, 5, 1.0, id="evenly split"),
        pytest.param(6, 0, 0.03125, id="six to none"),
        pytest.param(3000, 2000, 1.14e-45, id="more tasks than a float has room for"),
    ],
)
def test_mcnemars_exact_test(better: int, worse: int, p: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p, rel=2e-2)
    assert sign_test(better, worse) == sign_test(worse, better)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1500), st.integers(0, 1500))
def test_the_test_is_scipys(better: int, worse: int) -> None:
    if better + worse:
        expected = stats.binomtest(better, better + worse).pvalue
        assert sign_test(better, worse) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def outcome(passed: int, failed: int, start: int = 0) -> dict[str, list[float]]:
    return {f"t{start + number}": [float(number < passed)] for number in range(passed + failed)}


def test_the_sentence_says_better_worse_equal_and_what_was_left_out() -> None:
    a = {**outcome(4, 12), **outcome(10, 20, 100), "only-a": [1.0]}
    b = {**{task: [1 - values[0]] for task, values in outcome(4, 12).items()}, **outcome(10, 20, 100)}
    found = compare("humaneval/pass@1", a, b | {"only-b": [0.0], "other": [1.0]})
    assert found is not None
    assert (len(found.better), len(found.worse), found.num_equal) == (12, 4, 30)
    assert found.sentence() == (
        "humaneval/pass@1: B is better on 12, worse on 4, equal on 30 of 46 tasks, p = 0.077, which chance explains; "
        "A 0.3043, B 0.4783, difference +0.1739 (95 % interval "
        f"{found.difference.low:+.4f} to {found.difference.high:+.4f}); "
        "left out: 1 that only A has and 2 that only B has"
    )
    assert found.difference.low < found.difference.value < found.difference.high
    json.dumps(found.to_json())


def test_several_samples_are_compared_by_their_rates() -> None:
    found = compare(
        "m", {"x": [1, 0, 0, 0], "y": [1, 1], "z": [0.1] * 3}, {"x": [1, 1], "y": [1], "z": [0.1] * 7}
    )
    assert found is not None and (found.better, found.worse, found.num_equal) == (("x",), (), 2)


def test_equal_models_have_nothing_to_test_and_strangers_no_comparison() -> None:
    found = compare("m", {"x": [1.0]}, {"x": [1.0]})
    assert found is not None and "nothing to test" in found.sentence()
    assert compare("m", {"x": [1.0]}, {"y": [1.0]}) is None


def write(path: Path, *rows: dict[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def row(task: str, passed: bool, **more: Any) -> dict[str, Any]:
    return {"task_id": task, "passed": passed, "completion": "<b>x</b>", "result": "passed", **more}


def test_a_result_file_is_held_against_the_suite_that_has_its_tasks(tmp_path: Path) -> None:
    write(
        tmp_path / "run" / "samples" / "humaneval.jsonl",
        row("a", True, language="go"),
        row("b", False, language="c"),
    )
    write(tmp_path / "run" / "samples" / "other.jsonl", row("q", True))
    file = write(tmp_path / "x_results.jsonl", row("a", False), row("b", False))
    [(suite, first, second)] = records.paired(records.read(str(tmp_path / "run")), records.read(file))
    assert suite == "humaneval" and first[0]["passed"] and not second[0]["passed"]
    [(suite, first, second)] = records.paired(records.read(file), records.read(str(tmp_path / "run")))
    assert suite == "humaneval" and not first[0]["passed"] and second[0]["passed"]
    assert set(records.measures("humaneval", second)) == {
        "humaneval/pass@1",
        "humaneval/go/pass@1",
        "humaneval/c/pass@1",
    }


def test_held_out_records_have_a_measure_of_each_kind() -> None:
    found = records.measures("held-out", [row("a", True, kind="middle", similarity=1.0, expected="x")])
    assert found == {"held-out/middle-exact": {"a": [1.0]}, "held-out/middle-similarity": {"a": [1.0]}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"task_id": "a", "completion": ""}\n', "has no verdict"),
        ('{"task_id": "a", "passed": "yes"}\n', "has no verdict"),
        ("{\n", "line 1: not JSON"),
        ("", "no result in it"),
    ],
)
def test_what_was_not_judged_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(UserError, match=words):
        records.read(str(tmp_path / "x.jsonl"))
    with pytest.raises(UserError, match="no evaluation here"):
        records.read(str(tmp_path))


def test_the_page_shows_both_answers_and_escapes_them() -> None:
    a, b = [row("a", False), row("b", True)], [row("a", True), row("b", True)]
    found = compare("s/pass@1", records.measures("s", a)["s/pass@1"], records.measures("s", b)["s/pass@1"])
    assert found is not None
    text = page.build(("<a>", "b"), [(found, a, b)])
    assert text.count("&lt;b&gt;x&lt;/b&gt;") == 2 and "<b>x" not in text and "B is better" in text
