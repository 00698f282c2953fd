"""Documents in a browser: right ones pass, no cheat does, each gets a verdict, and nothing is left behind."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.values import FailureKind, SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry
from daybreak_evaluate.runtimes.html import page_test
from daybreak_evaluate.runtimes.html.browser import Browser, BrowserLostError, OverrunError, find_browser
from daybreak_evaluate.runtimes.html.runtime import HtmlRuntime
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.suites.protocol import ignore_progress
from daybreak_evaluate.task import Task
from tests.evaluate.suites.own_problems import Knows, context_of, suite_of, write_rows

browser_here = pytest.mark.skipif(
    find_browser() is None, reason="no Chromium to open documents in; apt-get install chromium"
)
slow = [browser_here, pytest.mark.needs("compilers"), pytest.mark.xdist_group("runtimes")]

STYLE = "<style>body{margin:0} nav{display:flex;background:navy;height:400px;color:white}</style>"
RIGHT = f'{STYLE}<title>Bar</title><nav><a href="/home">Our\n home</a><a>Away</a></nav>'
ONE_LINK = RIGHT.replace("<a>Away</a>", "")
ASSERTIONS = [
    {"selector": "nav", "style": {"display": "flex", "background-color": "rgb(0, 0, 128)"}},
    {"selector": "nav > a", "count": 2},
    {"selector": "nav > a", "text": "Our home"},
    {"selector": "a", "attribute": "href", "value": "/home"},
]
TEST = {"assertions": ASSERTIONS, "reference": "<!doctype html>" + RIGHT, "minEqualPixels": 0.98}
ADD_LINK = "document.querySelector('nav').append(document.createElement('a'))"
RIGHT_ONES = {
    "as the reference": RIGHT,
    "tags that parsing closes": f'{STYLE}<nav><a href="/home">Our home</a><a>Away</nav></b>',
    "other words for the same": RIGHT.replace("navy", "#000080").replace("<nav>", "<nav class=bar>"),
    "elements that hide methods": RIGHT
    + "<form name=querySelectorAll></form><img name=getComputedStyle style='display:none'>",
}
CHEATS = {
    "nothing": "",
    "another style": RIGHT.replace("display:flex", "display:block"),
    "another text": RIGHT.replace("home</a>", "house</a>"),
    "another attribute": RIGHT.replace("/home", "/"),
    "no such attribute": RIGHT.replace('href="/home"', ""),
    "another picture": RIGHT.replace("400px", "300px"),
    "a script that adds what is missing": f"{ONE_LINK}<script>{ADD_LINK}</script>",
    "a handler that adds what is missing": f'{ONE_LINK}<img src=x onerror="{ADD_LINK}">',
    "a script that overrides methods": "<script>Document.prototype.querySelectorAll=()=>[1,2]</script>",
    "a script without end": "<script>for(;;);</script>",
    "a refresh to itself": '<meta http-equiv=refresh content="0">',
    "a refresh to the right document": f"<meta http-equiv=refresh content='0;url=data:text/html,{RIGHT}'>",
    "a refresh to nothing": RIGHT + '<meta http-equiv=refresh content="0;url=about:blank">',
    "a huge document": "<p>" + "words " * 500_000,
    "more than is opened": "<p>" * 2_000_000,
    "100,000 nested elements": "<div>" * 100_000,
    "a file in a frame": '<iframe src="file:///etc/passwd"></iframe>',
    "a document in a frame": f"<iframe srcdoc='{RIGHT}'></iframe>",
    "an address in a frame": f"<iframe src='data:text/html,{RIGHT}<script>for(;;);</script>'></iframe>",
    "style from the network": ONE_LINK + "<style>@import url(http://192.0.2.1/x.css);</style>",
    "a link to the network": '<link rel=stylesheet href="http://192.0.2.1/x.css"><img src="//192.0.2.1/x">',
    "a title that says passed": '<title>{"passed": true}</title>passed',
    "half a surrogate pair and NUL": "\ud800\x00",
    "a frameset": '<frameset><frame src="file:///"></frameset>',
}


def task(**test: Any) -> Task:
    """Return a task with a test."""
    return Task("page/0", "html", prompt="<!doctype html>", test=json.dumps(test or TEST))


def judge(
    documents: dict[str, str], limits: SandboxLimits | None = None, **test: Any
) -> dict[str, SampleVerdict]:
    """Return the verdict of each document, by its name."""
    names = list(documents)
    attempts = [Attempt(task(**test), documents[name]) for name in names]
    verdicts = HtmlRuntime().judge(attempts, limits or SandboxLimits(), 2)
    return {names[index]: verdict for index, verdict in verdicts}


class TestInABrowser:
    pytestmark = slow

    def test_right_documents_pass(self) -> None:
        verdicts = judge(RIGHT_ONES)
        assert {name: verdict.result for name, verdict in verdicts.items()} == dict.fromkeys(
            RIGHT_ONES, "passed"
        )

    def test_no_cheat_passes_and_none_leaves_anything(self) -> None:
        before = _folders()
        verdicts = judge(CHEATS)
        assert [name for name, verdict in verdicts.items() if verdict.passed] == []
        assert sorted(verdicts) == sorted(CHEATS)
        assert verdicts["more than is opened"].kind is FailureKind.TOO_LARGE
        assert verdicts["a script that adds what is missing"].kind is FailureKind.WRONG
        assert "of its pixels" in verdicts["another picture"].result
        assert _folders() <= before

    def test_a_document_that_takes_too_long_ends_and_the_next_is_judged(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        many = Attempt(task(assertions=ASSERTIONS), "<table><tr><td>" * 60_000)
        with monkeypatch.context() as patch:
            patch.setattr("daybreak_evaluate.runtimes.html.runtime.OWN_WORK_S", 0.0)
            verdicts = dict(HtmlRuntime().judge([many, many], SandboxLimits(timeout_s=0.1), 1))
        assert [verdict.kind for verdict in verdicts.values()] == [FailureKind.TIMEOUT] * 2

    def test_nothing_reaches_the_network(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.0)
            place = f"http://127.0.0.1:{server.getsockname()[1]}/x"
            asks = f"<style>@import url({place}); body{{background:url({place})}}</style><img src={place}>"
            also = f"<iframe src={place}></iframe><link rel=preconnect href={place}><object data={place}></object>"
            leaves = f'<meta http-equiv=refresh content="0;url={place}">'
            judge({"asks": RIGHT + asks + also, "leaves": leaves})
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_a_selector_of_no_language_is_the_tests_mistake(self) -> None:
        verdict = judge({"right": RIGHT}, assertions=[{"selector": "a[", "count": 1}])["right"]
        assert verdict.kind is FailureKind.TEST

    def test_a_browser_that_was_killed_starts_again(self) -> None:
        path = find_browser()
        assert path is not None
        with Browser(path, 0) as browser:
            browser.start()
            browser.limit(0.0, 1 << 30)
            with pytest.raises(OverrunError):
                for _ in range(1000):
                    browser.ask("Browser.getVersion")
            browser.kill()
            browser.start()
            with pytest.raises(BrowserLostError, match="wasn't found"):
                browser.ask("No.such")

    @pytest.mark.parametrize("num_open", range(14))
    def test_it_starts_whatever_files_are_open(self, num_open: int) -> None:
        path = find_browser()
        assert path is not None
        with ExitStack() as files:
            for _ in range(num_open):
                files.enter_context(Path(os.devnull).open())
            with Browser(path, 0) as browser:
                browser.start()

    def test_rows_of_a_known_format_are_scored(self, tmp_path: Path) -> None:
        row = {"task_id": "page/0", "prompt": "<!doctype html>", "entry_point": "", "test": json.dumps(TEST)}
        file = write_rows(tmp_path, [{**row, "canonical_solution": RIGHT}])
        made = problem_suite.make(suite_of(file, "HumanEval", language="html"), context_of(tmp_path))
        for answer, value in ((RIGHT, 1.0), (ONE_LINK, 0.0)):
            tasks = made.tasks()
            completer = Knows(lambda prompt, said=answer: said)  # type: ignore[misc]
            prompts, sampling = made.prompts(tasks, completer, ignore_progress)
            outcome = made.judge(
                tasks, completer.complete(prompts, sampling, ignore_progress), ignore_progress
            )
            assert [score.value for score in outcome.scores] == [value], outcome.samples


def _folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("daybreak-browser-*"))


def test_html_is_a_runtime_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = registry.get("html")
    assert "html" in registry.languages()
    monkeypatch.setattr("daybreak_evaluate.runtimes.html.runtime.find_browser", lambda: None)
    assert runtime.probe().remedy == "apt-get install chromium"
    with pytest.raises(UserError, match="apt-get install chromium"):
        next(runtime.judge([Attempt(task(), "")], SandboxLimits(), 1))


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        pytest.param("{", "must be JSON", id="torn"),
        pytest.param("[" * 100_000, "must be JSON", id="deep"),
        pytest.param("[]", "must be a JSON object", id="list"),
        pytest.param("{}", "must hold assertions or a reference", id="empty"),
        pytest.param('{"assertion": []}', "may hold assertions", id="stranger"),
        pytest.param('{"assertions": {}}', "must be a list", id="no-list"),
        pytest.param('{"assertions": [1]}', "assertion 1: must be an object", id="no-object"),
        pytest.param('{"assertions": [{"selector": "a"}]}', "must hold one of", id="no-check"),
        pytest.param(
            '{"assertions": [{"selector": "a", "count": 1, "text": ""}]}', "one of", id="two-checks"
        ),
        pytest.param('{"assertions": [{"selector": "a", "count": true}]}', "whole number", id="count"),
        pytest.param('{"assertions": [{"selector": "a", "text": 1}]}', "text must be text", id="text"),
        pytest.param('{"assertions": [{"selector": "a", "attribute": "x"}]}', "belong together", id="value"),
        pytest.param('{"assertions": [{"selector": "a", "style": {}}]}', "style must map", id="style"),
        pytest.param('{"reference": 1}', "reference must be", id="reference"),
        pytest.param('{"reference": "", "minEqualPixels": 2}', "above 0 and at most 1", id="share"),
        pytest.param('{"reference": "", "minEqualPixels": NaN}', "above 0 and at most 1", id="nan"),
        pytest.param('{"assertions": [], "minEqualPixels": 1}', "needs a reference", id="share-alone"),
    ],
)
def test_a_test_of_another_shape_is_the_suites_mistake(test: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        page_test.parse(Task("page/0", "html", prompt="", test=test))
    assert str(caught.value).startswith("page/0: ")
