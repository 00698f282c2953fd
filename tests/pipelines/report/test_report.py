"""The page: everything is on it, nothing that came from outside can act on it."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

from daybreak_contracts import steps
from daybreak_pipelines.report import page as report


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parse(page: str) -> _Tags:
    parser = _Tags()
    parser.feed(page)
    return parser


def test_the_page_tells_what_was_made_and_how_good_it_is(values: report.Values) -> None:
    text = " ".join(_parse(report.build(values)).text)
    for expected in (
        "61 MB",
        "1,000 files",
        "700 clean documents",
        "1.3 million parameters",
        "0.1100",
        "84 ms",
        "What happened to the files",
        "Asked of the served model",
        "What a real run needs",
    ):
        assert expected in text
    assert "exact-duplicate" in text
    assert "nothing changed" in text


def test_nothing_from_outside_becomes_markup(values: report.Values) -> None:
    page = _parse(report.build(values))
    assert "script" not in page.seen
    assert "x + 1</pre><script>" in page.text
    assert "<first>" in "".join(page.text)


def test_a_mixture_is_shown_asked_against_written(values: report.Values) -> None:
    assert "Mixture" not in _parse(report.build(values)).text
    share = steps.MixtureShare(
        kind="source", name="<b>", asked_epochs=2.5, epochs=2.49, tokens=9_000_000, unique_tokens=4_000_000
    )
    shards = values.shards.model_copy(update={"mixture": (share,)})
    text = _parse(report.build(dataclasses.replace(values, shards=shards))).text
    assert [word for word in text if word in ("source <b>", "2.5", "2.49", "9.0 million", "75.0 %")] == [
        "source <b>", "2.5", "2.49", "9.0 million", "75.0 %",
    ]  # fmt: skip


def test_each_layout_of_the_objective_is_shown_with_what_is_predicted(values: report.Values) -> None:
    page = report.build(values)
    assert "<summary>text as it is</summary>" in page
    assert "<summary><code>&lt;|mode_s|&gt;</code></summary>" in page
    assert '<span class="given">&lt;|mode_s|&gt;def f(</span><mark>a):\n</mark>' in page
    assert "learned to predict" not in report.build(dataclasses.replace(values, examples=[]))


def test_the_examples_of_a_training_are_read() -> None:
    parts = [{"text": "a", "isTarget": False}, {"text": "b", "isTarget": True}]
    (example,) = report.read_examples([{"layout": "<|mode_r|>", "parts": parts}])
    assert example == report.TransformedExample("<|mode_r|>", [("a", False), ("b", True)])


def test_a_failed_gate_is_said(values: report.Values) -> None:
    evaluated = values.evaluated.model_copy(update={"failed_gates": ("humaneval/pass@1 is 0, below 0.15",)})
    page = report.build(dataclasses.replace(values, evaluated=evaluated, completions=[]))
    assert "did not pass its gates" in page
    assert "below 0.15" in page
    assert "Serving was not tried" in page


def test_the_ledger_becomes_a_curve_over_tokens() -> None:
    data = b'{"step": 1, "tokens": 100, "loss": 9.0}\n{"step": 2, "tokens": 200, "loss": 8}\n'
    assert report.losses(report.read_ledger(data)) == [(100, 9.0), (200, 8.0)]


def test_every_file_is_in_one_row_even_with_many_reasons(values: report.Values) -> None:
    dropped = {f"reason-{index:02}": index + 1 for index in range(20)}
    documents = values.documents.model_copy(update={"dropped": dropped})
    text = " ".join(_parse(report.build(dataclasses.replace(values, documents=documents))).text)
    assert f"other reasons {sum(range(1, 7))}" in text


def test_only_a_small_model_is_excused(values: report.Values) -> None:
    large = values.trained.model_copy(update={"num_parameters": 1_000_000_000})
    assert "A model this small" in report.build(values)
    assert "A model this small" not in report.build(dataclasses.replace(values, trained=large))


def test_what_the_model_wrote_while_it_learned_is_shown_by_prompt(values: report.Values) -> None:
    hostile = {"prompt": "def f(", "suffix": "", "expected": "x):"}
    entries = [
        {"step": 1, "tokens": 64, "loss": 5.0},
        {"step": 10, "generations": [{**hostile, "text": "</pre><script>"}]},
        {"step": 20, "generations": [{**hostile, "text": "x) ->"}]},
    ]
    found = report.generations(entries)
    page = _parse(report.build(dataclasses.replace(values, generations=found)))
    text = "".join(page.text)
    assert text.index("after step 10") < text.index("</pre><script>") < text.index("after step 20")
    assert "script" not in page.seen
    assert text.count("what stood there") == 2
    assert "while it learned" not in report.build(values)


def test_each_suite_has_a_tile_of_its_first_score_whatever_its_languages(values: report.Values) -> None:
    def score(metric: str) -> steps.Score:
        return steps.Score(metric=metric, value=0.25, low=0.1, high=0.4, num_tasks=20)

    names = ["humaneval/pass@1", "our-x/pass@1", "our-x/go/pass@1", "held-out/next-line-exact"]
    evaluated = values.evaluated.model_copy(update={"scores": tuple(map(score, names))})
    text = report.build(dataclasses.replace(values, evaluated=evaluated))
    assert "<span>our-x pass@1</span><b>25.0 %</b>" in text and "our-x go pass@1" not in text
    assert '<td class="short">our-x</td><td class="short">go</td><td class="short">pass@1</td>' in text
