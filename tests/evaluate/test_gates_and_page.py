"""Gates are decimals and known before the work; the page shows everything and runs nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Gate
from daybreak_contracts.steps import Score
from daybreak_evaluate import gates, page


def score(value: float, metric: str = "humaneval/pass@1") -> Score:
    return Score(metric=metric, value=value, low=value / 2, high=min(1.0, value * 2), num_tasks=164)


@pytest.mark.parametrize(
    ("gate", "value", "expected"),
    [
        pytest.param(
            Gate(metric="humaneval/pass@1", min="0.15"), 0.15, [], id="exactly the minimum is enough"
        ),
        pytest.param(
            Gate(metric="humaneval/pass@1", min="0.3"), 0.1 + 0.2, [], id="the last bit decides nothing"
        ),
        pytest.param(
            Gate(metric="humaneval/pass@1", min="0.15"),
            0.149,
            ["humaneval/pass@1 is 0.149, below the gate's minimum of 0.15"],
            id="below the minimum",
        ),
        pytest.param(
            Gate(metric="humaneval/pass@1", max="0.5"),
            0.75,
            ["humaneval/pass@1 is 0.75, above the gate's maximum of 0.5"],
            id="above the maximum",
        ),
        pytest.param(
            Gate(metric="humaneval/pass@1", min="0", max="1"), 0.0, [], id="nothing is enough for nothing"
        ),
        pytest.param(
            Gate(metric="humaneval-x/go/pass@1", min="0.2"),
            0.1,
            ["humaneval-x/go/pass@1 is 0.1, below the gate's minimum of 0.2"],
            id="one language of a suite",
        ),
    ],
)
def test_gates(gate: Gate, value: float, expected: list[str]) -> None:
    assert list(gates.failed_gates([gate], [score(value, gate.metric)])) == expected


def test_a_gate_on_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"humaneval/pass@10: .* known are humaneval/pass@1, held-out/x"):
        gates.check_metrics([Gate(metric="humaneval/pass@10", min="0")], ["humaneval/pass@1", "held-out/x"])


class Tags(HTMLParser):
    """Collects tags and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>&amp;\"'</pre></html>"


def test_the_page_escapes_everything_and_loads_nothing() -> None:
    samples = [
        {
            "task_id": HOSTILE,
            "completion": HOSTILE,
            "result": f"failed: {HOSTILE}",
            "passed": False,
            "kind": HOSTILE,
        },
        {"task_id": "t", "completion": "\ud800\0", "expected": HOSTILE, "passed": True},
    ]
    text = page.render([score(0.3)], {HOSTILE: {HOSTILE: [HOSTILE]}}, {HOSTILE: samples}, {HOSTILE: HOSTILE})
    tags = Tags()
    tags.feed(text)
    assert not tags.tags & {"script", "img", "link", "iframe", "object", "a"}
    assert tags.addresses == []
    assert HOSTILE in tags.text and "0.3000" in tags.text


def test_the_page_shows_passes_beside_failures_and_cuts_long_ones() -> None:
    samples = [
        {"task_id": f"t{number}", "completion": "x" * 100_000, "passed": number > 40, "result": "r"}
        for number in range(50)
    ]
    text = page.render([score(0.3)], {"s": {}}, {"s": samples}, {})
    assert len(text) < 50_000
    assert text.index("t41") < text.index("t0")
    assert "9 of 50 samples passed; 12 are shown" in text
    assert text.index("Passed</h3>") < text.index("t41") < text.index("Failed</h3>") < text.index("t0<")
    assert page.render([score(0.3)], {"s": {}}, {"s": samples}, {}) == text


def test_the_page_shows_each_language_and_kind_of_failure_in_turn_and_counts_them() -> None:
    def sample(number: int, language: str, kind: str) -> dict[str, object]:
        return {
            "task_id": f"t{number}",
            "language": language,
            "kind": kind,
            "completion": "",
            "passed": False,
            "result": "failed",
        }

    samples = [sample(number, "go", "Wrong") for number in range(40)]
    samples += [sample(40, "go", "Memory"), sample(41, "java", "Wrong")]
    text = page.render([score(0.3, "s/go/pass@1")], {"s": {}}, {"s": samples}, {})
    assert "t0<" in text and "t40<" in text and "t41<" in text
    assert "Of the others: Wrong 41, Memory 1." in text
