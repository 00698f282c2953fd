"""A watch that lists, follows, takes up again where it was, and starts over when it must."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_contracts.list_watch import BackOff
from daybreak_operator.shell.kube.answers import ApiError, GoneError, NotFoundError, RefusedError
from daybreak_operator.shell.kube.resources import PODS
from daybreak_operator.shell.watches.reflector import Reflector
from daybreak_operator.shell.watches.store import ListResult


class Script:
    """An API server that plays what it is given: each list and each stream in turn, then it ends the watch."""

    def __init__(self, *streams: Any, lists: tuple[Any, ...] = ("1",)) -> None:
        self.streams = list(streams)
        self.lists = list(lists)
        self.asked: list[str] = []
        self.watch: Reflector | None = None

    def pages(self, *_: Any) -> Iterator[tuple[list[dict[str, Any]], str]]:
        version = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        self.asked.append("list")
        if isinstance(version, Exception):
            raise version
        yield [thing(version)], version

    def follow(self, version: str) -> Iterator[tuple[str, dict[str, Any]]]:
        self.asked.append(version)
        if not self.streams:
            assert self.watch is not None
            self.watch.stop()
            return
        for step in self.streams.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step

    def serve(self, *given: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        return self.follow(given[3])


class Sink:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def listed(self, resource: Any, listed: ListResult) -> None:
        self.told.append([body["metadata"]["resourceVersion"] for body in listed.bodies])

    def event(self, resource: Any, kind: str, body: dict[str, Any]) -> None:
        self.told.append((kind, body["metadata"]["resourceVersion"]))


def thing(version: str) -> dict[str, Any]:
    return {"metadata": {"name": "x", "resourceVersion": version}}


def play(script: Script, *, optional: bool = False) -> tuple[Reflector, list[Any]]:
    """Run a watch to the script's end."""
    sink, kube = Sink(), Client(script)
    watch = Reflector(kube, PODS, sink, optional=optional, absent_s=0.0, back_off=BackOff(0.0, 0.0))  # type: ignore[arg-type]
    script.watch = watch
    others = set(threading.enumerate())  # the last ones of an operator that another test ended may still wait
    watch.start()
    for thread in set(threading.enumerate()) - others:
        thread.join(60)
        assert not thread.is_alive()
    return watch, sink.told


class Client:
    """The two methods that a watch uses."""

    def __init__(self, script: Script) -> None:
        self.pages = script.pages
        self.watch = script.serve


ADDED = ("ADDED", thing("2"))
BOOKMARK = ("BOOKMARK", thing("7"))


@pytest.mark.parametrize(
    ("stream", "asked"),
    [
        pytest.param([ADDED], ["list", "1", "2"], id="a-stream-that-ended-goes-on-where-it-was"),
        pytest.param([ADDED, BOOKMARK], ["list", "1", "7"], id="a-bookmark-moves-on-without-a-change"),
        pytest.param([ADDED, TransientError("silent")], ["list", "1", "2"], id="a-broken-stream-too"),
        pytest.param(
            [ADDED, GoneError(410, "", "")], ["list", "1", "list", "1"], id="too-old-means-a-new-list"
        ),
    ],
)
def test_it_goes_on(stream: list[Any], asked: list[str]) -> None:
    script = Script(stream)
    watch, told = play(script)
    assert script.asked == asked
    assert told == [["1"], ("ADDED", "2")] + ([["1"]] if asked.count("list") > 1 else [])
    assert watch.synced.is_set()


def test_trouble_is_counted_and_told_until_it_is_over() -> None:
    script = Script(lists=(TransientError("down"), TransientError("down"), "1"))
    watch, told = play(script)
    assert (watch.restarts, told) == (2, [["1"]])
    assert watch.last_error == ""


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(NotFoundError(404, "", "no such kind"), id="unknown"),
        pytest.param(RefusedError(403, "", "may not"), id="not-ours-to-see"),
    ],
)
def test_a_kind_that_may_be_absent_is_asked_for_again(error: ApiError) -> None:
    watch, told = play(Script(lists=(error, error, "1")), optional=True)
    assert told == [[], ["1"]]
    assert (watch.absent, watch.restarts) == (False, 0)


def test_a_kind_that_must_be_there_is_trouble() -> None:
    watch, _ = play(Script(lists=(NotFoundError(404, "", "no such kind"), "1")))
    assert watch.restarts == 1


def test_its_age_is_the_time_since_the_last_sign() -> None:
    now = [0.0]
    watch = Reflector(Client(Script()), PODS, Sink(), clock=lambda: now[0])  # type: ignore[arg-type]
    watch.heard = 5.0
    now[0] = 20.0
    assert watch.age_s() == 15.0
    watch.absent = True
    assert watch.age_s() == 0.0
