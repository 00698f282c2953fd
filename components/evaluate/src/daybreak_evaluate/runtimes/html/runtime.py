"""The runtime of HTML and CSS: a document is opened in a browser, held against assertions and against a picture.

Owns how a document is opened and what counts as passing. The document's scripts do not run, nothing but the document is
fetched, and its content policy says the same; assertions run in a world of their own (decision 0096).
"""

from __future__ import annotations

import base64
import functools
import json
import queue
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from importlib import resources
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.client import default_workers
from daybreak_evaluate.judge.values import (
    PASSED,
    TIMED_OUT,
    FailureKind,
    SampleVerdict,
    SandboxLimits,
    Tier,
    failed,
)
from daybreak_evaluate.runtimes.html import page_test
from daybreak_evaluate.runtimes.html.browser import (
    WINDOW,
    Browser,
    BrowserLostError,
    OverrunError,
    browser_version,
    find_browser,
)
from daybreak_evaluate.runtimes.html.page_test import PageTest
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation

LANGUAGE = "html"
ADDRESS = "http://document.invalid/"
"""Where the document seems to come from: a name that no network knows (RFC 2606)."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; form-action 'none'"
OWN_WORK_S = 6.0
"""Processor time above the task's limit: an ordinary document takes 0.5 to 1.6 s, a browser just begun 3 s more."""
TOLERANCE = 8
"""Steps of 255 that a colour may be off: edges of letters and curves are drawn with less precision than that."""
REMEDY = "apt-get install chromium"


class HtmlRuntime:
    """Documents in headless Chromium, one browser a slot."""

    language = LANGUAGE
    isolation = Isolation.SEPARATE
    stop_words = ("</html>",)

    def __init__(self) -> None:
        self._tier: Tier | None = None

    def probe(self) -> Availability:
        """Ask the browser for its version."""
        path = find_browser()
        version = browser_version(path) if path else ""
        return Availability(bool(version), version, "" if version else REMEDY)

    def tier(self) -> Tier:
        """Start a browser once and say what holds it."""
        if self._tier is None:
            with Browser(_path(), 0) as browser:
                held = browser.has_own_network
            network = "no network interface" if held else "network closed by the browser's own rules alone"
            details = ("Chromium's own sandbox (namespaces, seccomp)", network, "scripts of documents off")
            self._tier = Tier(2 if held else 1, "headless browser", details)
        return self._tier

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Yield index and verdict of each attempt, as they are done; every attempt gets one."""
        path = _path()
        kept = list(attempts)
        tests = [page_test.parse(attempt.task) for attempt in kept]
        if not kept:
            return
        num_slots = min(workers or default_workers(limits), len(kept))
        free: queue.SimpleQueue[BrowserSlot] = queue.SimpleQueue()
        with ExitStack() as browsers, ThreadPoolExecutor(num_slots) as threads:
            for number in range(num_slots):
                free.put(BrowserSlot(browsers.enter_context(Browser(path, number))))

            def judged(index: int) -> SampleVerdict:
                slot = free.get()
                try:
                    return slot.verdict(kept[index], tests[index], limits)
                finally:
                    free.put(slot)

            waiting = {threads.submit(judged, index): index for index in range(len(kept))}
            try:
                for done in as_completed(waiting):
                    yield waiting[done], done.result()
            finally:
                threads.shutdown(cancel_futures=True)


def _path() -> str:
    path = find_browser()
    if path is None:
        raise UserError(f"html cannot be judged here: no Chromium; {REMEDY}")
    return path


class BrowserSlot:
    """One browser and the pictures of references that it has drawn."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._pictures: dict[str, str] = {}

    def verdict(self, attempt: Attempt, test: PageTest, limits: SandboxLimits) -> SampleVerdict:
        """Judge one document; a browser that was lost on the way is started anew with the next."""
        program = attempt.completion if attempt.is_program else attempt.task.program(attempt.completion)
        document = program.encode("utf-8", "replace")
        if len(document) > limits.source_bytes:
            message = (
                f"the document has {len(document)} bytes, more than {limits.source_bytes} are not opened"
            )
            return failed(message, FailureKind.TOO_LARGE)
        browser = self._browser
        browser.start()
        before = browser.spent_s()
        try:
            reference = self._reference(attempt, test, limits)
            limit_s = (attempt.task.timeout_s or limits.timeout_s) + OWN_WORK_S
            browser.limit(limit_s, limits.memory_bytes)
            verdict = self._held_against(document, test, reference)
        except OverrunError as error:
            browser.kill()
            if error.what == "memory":
                return failed("more memory than allowed", FailureKind.MEMORY)
            return SampleVerdict(False, TIMED_OUT, FailureKind.TIMEOUT)
        except BrowserLostError as error:
            browser.kill()
            return failed(f"the browser did not show the document: {error}", FailureKind.ENDED)
        return SampleVerdict(
            verdict.passed, verdict.result, verdict.kind, max(browser.spent_s() - before, 0.0)
        )

    def _reference(self, attempt: Attempt, test: PageTest, limits: SandboxLimits) -> str | None:
        if test.reference is None:
            return None
        if test.reference not in self._pictures:
            self._browser.limit(limits.timeout_s + OWN_WORK_S, limits.memory_bytes)
            try:
                with Page(self._browser) as page:
                    page.open(test.reference.encode("utf-8", "replace"))
                    self._pictures[test.reference] = page.picture()
            except (OverrunError, BrowserLostError) as error:
                raise UserError(
                    f"{attempt.task.task_id}: the browser cannot show the reference: {error}"
                ) from error
        return self._pictures[test.reference]

    def _held_against(self, document: bytes, test: PageTest, reference: str | None) -> SampleVerdict:
        with Page(self._browser) as page:
            page.open(document)
            said = page.call(_script("inspect.js"), list(test.assertions))
            if said.get("test"):
                return failed(str(said["test"]), FailureKind.TEST)
            if said.get("wrong"):
                return failed(str(said["wrong"]), FailureKind.WRONG)
            picture = page.picture() if reference is not None else None
        if picture is None:
            return SampleVerdict(True, PASSED)
        with Page(self._browser) as blank:
            share = float(blank.call(_script("compare.js"), picture, reference, TOLERANCE))
        if share < test.min_equal_pixels:
            message = f"{share:.4f} of its pixels are the reference's, less than {test.min_equal_pixels}"
            return failed(message, FailureKind.WRONG)
        return SampleVerdict(True, PASSED)


@functools.cache
def _script(name: str) -> str:
    return (resources.files("daybreak_evaluate.runtimes.html") / name).read_text("utf-8")


class Page:
    """One tab in a browsing context of its own, without cookies or cache of another."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._document: bytes | None = None
        self._loaded = False

    def __enter__(self) -> Page:
        ask = self._browser.ask
        self._context = ask("Target.createBrowserContext")["browserContextId"]
        width, height = WINDOW
        wanted = {"url": "about:blank", "browserContextId": self._context, "width": width, "height": height}
        self._frame = ask("Target.createTarget", wanted)["targetId"]
        attached = ask("Target.attachToTarget", {"targetId": self._frame, "flatten": True})
        self._session = attached["sessionId"]
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # a browser that failed is killed as a whole
            self._browser.ask("Target.disposeBrowserContext", {"browserContextId": self._context})

    def open(self, document: bytes) -> None:
        """Show a document; nothing else that it asks for is fetched."""
        self._document, self._loaded = document, False
        size = {"width": WINDOW[0], "height": WINDOW[1], "deviceScaleFactor": 1, "mobile": False}
        self._ask("Page.enable")
        self._ask("Inspector.enable")
        self._ask("Fetch.enable", {"patterns": [{"urlPattern": "*"}]})
        self._ask("Emulation.setScriptExecutionDisabled", {"value": True})
        self._ask("Emulation.setDeviceMetricsOverride", size)
        self._ask("Page.navigate", {"url": ADDRESS})
        while not self._loaded:
            self._on_event(self._browser.receive())

    def call(self, function: str, *arguments: object) -> Any:
        """Call a function of ours in a world of its own and return its value."""
        world = self._ask("Page.createIsolatedWorld", {"frameId": self._frame, "worldName": "judge"})
        words = ", ".join(json.dumps(argument) for argument in arguments)
        said = self._ask(
            "Runtime.evaluate",
            {
                "expression": f"({function.rstrip()}\n)({words})",
                "contextId": world["executionContextId"],
                "returnByValue": True,
                "awaitPromise": True,
            },
        )
        if "exceptionDetails" in said:
            raise BrowserLostError(str(said["exceptionDetails"].get("exception", {}).get("description", "")))
        return said["result"].get("value")

    def picture(self) -> str:
        """Return what the window shows: a PNG as base64."""
        wanted = {"format": "png", "fromSurface": True, "captureBeyondViewport": False}
        return str(self._ask("Page.captureScreenshot", wanted)["data"])

    def _ask(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._browser.ask(method, parameters, self._session, self._on_event)

    def _on_event(self, message: dict[str, Any]) -> None:
        if message.get("sessionId") != self._session:
            return
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Inspector.targetCrashed":
                raise BrowserLostError("its process crashed")
            case "Fetch.requestPaused":
                self._answer(parameters)

    def _answer(self, paused: dict[str, Any]) -> None:
        number = {"requestId": paused["requestId"]}
        if self._document is None or paused["request"]["url"] != ADDRESS:
            self._browser.send("Fetch.failRequest", {**number, "errorReason": "Aborted"}, self._session)
            return
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY}
        answer = {
            **number,
            "responseCode": 200,
            "responseHeaders": [{"name": name, "value": value} for name, value in headers.items()],
            "body": base64.b64encode(self._document).decode("ascii"),
        }
        self._document = None  # once: a page that loads itself again gets nothing
        self._browser.send("Fetch.fulfillRequest", answer, self._session)
