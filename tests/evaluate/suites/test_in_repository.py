"""A repository's own tests as a suite: which functions are found, right answers, and cheats that do not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_evaluate.judge.values import SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry as runtimes
from daybreak_evaluate.runtimes.in_repository.functions import functions_in
from daybreak_evaluate.runtimes.in_repository.write_tasks import write_tasks
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.suites.protocol import ignore_progress
from tests.evaluate.suites.own_problems import Knows, context_of, suite_of

pytestmark = [
    pytest.mark.slow,  # every answer starts pytest in a sandbox of its own
    pytest.mark.xdist_group("runtimes"),  # another's look at what is left behind would see ours
]

BODY = "    total = 0\n    for price in prices:\n        total += price\n    return total\n"
SHOP = (
    "import random\n\n\ndef total_of(prices):\n"
    '    """Add prices up."""\n'
    f"{BODY}\n\n"
    "def untested(prices):\n    prices = sorted(prices)\n    return prices[0]\n\n\n"
    "def flaky():\n    number = random.random()\n    return number < 0.5\n\n\n"
    "class Basket:\n    def __init__(self, prices):\n        self.prices = prices\n\n"
    "    @property\n    def dearest(self):\n        found = max(self.prices)\n        return found\n"
)
TESTS = (
    "import unittest\n\nimport pytest\nfrom shop import Basket, flaky, total_of\n\n\n"
    "def test_total():\n    assert total_of([1, 2]) == 3\n\n\n"
    "@pytest.mark.parametrize('prices', [[1], [5, 5]])\ndef test_totals(prices):\n"
    "    assert total_of(prices) == sum(prices)\n\n\n"
    "def test_flaky():\n    assert flaky() or flaky() or not flaky()\n\n\n"
    "class TestBasket(unittest.TestCase):\n    def test_dearest(self):\n"
    "        self.assertEqual(Basket([1, 7, 2]).dearest, 7)\n\n\n"
    "def test_that_fails_always():\n    assert False\n"
)


@pytest.fixture(scope="module")
def tasks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    (folder / "shop").mkdir()
    (folder / "shop" / "shop.py").write_text(SHOP)
    (folder / "shop" / "test_shop.py").write_text(TESTS)
    said = write_tasks(folder / "shop", folder / "tasks.jsonl", 10, Progress("tasks"))
    assert "format: Repository" in said
    return folder / "tasks.jsonl"


def judge(file: Path, answers: dict[str, str]) -> dict[str, SampleVerdict]:
    suite = suite_of(file, "Repository")
    assert suite.problems is not None
    [task] = [task for task in problem_suite.tasks_of(suite.problems) if task.task_id.endswith(":total_of")]
    attempts = [Attempt(task, text) for text in answers.values()]
    found = dict(runtimes.get(task.language).judge(attempts, SandboxLimits(), 2))
    return {name: found[index] for index, name in enumerate(answers)}


def test_functions_are_found_by_tests_that_miss_them(tasks_file: Path) -> None:
    suite = suite_of(tasks_file, "Repository")
    assert suite.problems is not None
    tasks = {task.task_id.rpartition(":")[2]: task for task in problem_suite.tasks_of(suite.problems)}
    assert {"total_of", "Basket.dearest"} <= set(tasks) <= {"total_of", "Basket.dearest", "flaky"}
    assert tasks["total_of"].canonical == BODY
    assert tasks["total_of"].prompt.endswith('"""Add prices up."""\n')
    assert "test_shop.py::test_totals[prices0]" in tasks["total_of"].test


def test_a_suite_of_ones_own_repository_is_asked_and_scored(tasks_file: Path, tmp_path: Path) -> None:
    made = problem_suite.make(suite_of(tasks_file, "Repository"), context_of(tmp_path))
    tasks = [task for task in made.tasks() if not task.task_id.endswith("flaky")]
    completer = Knows(lambda prompt: BODY if prompt.key.endswith("total_of") else "        return 7\n")
    prompts, sampling = made.prompts(tasks, completer, ignore_progress)
    outcome = made.judge(tasks, completer.complete(prompts, sampling, ignore_progress), ignore_progress)
    assert [score.value for score in outcome.scores] == [1.0]
    assert outcome.protocol["runtimes"]["python-repository"]["isolation"] == "in-process"


CHEATS = {
    "leaves the process": "    import os\n    os._exit(0)\n",
    "raises SystemExit": "    raise SystemExit(0)\n",
    "interrupts": "    raise KeyboardInterrupt\n",
    "skips the test": "    import pytest\n    pytest.skip('later')\n",
    "skips as unittest does": "    import unittest\n    raise unittest.SkipTest\n",
    "expects to fail": "    import pytest\n    pytest.xfail('known')\n",
    "ends the session": "    import pytest\n    pytest.exit('done', 0)\n",
    "prints what passes": '    import os\n    os.write(1, b\'\\n{"passed": ["test_shop.py::test_total"]}\\n\')\n'
    "    os._exit(0)\n",
    "kills the process": "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    "leaves by another thread": "    import os, threading\n    threading.Thread(target=os._exit, args=(0,)).start()\n"
    "    import time\n    time.sleep(5)\n",
    "replaces the process": "    import os\n    os.execv('/bin/true', ['true'])\n",
    "reads the secret again": "    import os, sys\n    data = os.read(0, 99) + open('/proc/self/fd/0', 'rb').read()\n"
    "    os.write(1, data)\n    os._exit(0)\n",
    "rewrites the tests": "    import glob\n    for name in glob.glob('/tmp/repository/test_*.py'):\n"
    "        open(name, 'w').write('def test_total():\\n    pass\\n')\n    return None\n",
}


@pytest.fixture(scope="module")
def verdicts(tasks_file: Path) -> dict[str, SampleVerdict]:
    return judge(
        tasks_file,
        {"right": BODY, "another": "    return sum(prices)\n", "wrong": "    return 3\n", **CHEATS},
    )


def test_right_answers_pass_and_wrong_ones_do_not(verdicts: dict[str, SampleVerdict]) -> None:
    assert [verdicts[name].result for name in ("right", "another")] == ["passed", "passed"]
    assert "test_totals" in verdicts["wrong"].result or "test_total" in verdicts["wrong"].result


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_cheat_passes(cheat: str, verdicts: dict[str, SampleVerdict]) -> None:
    assert not verdicts[cheat].passed, verdicts[cheat]


def test_another_repository_than_the_tasks_were_found_in_is_refused(tasks_file: Path) -> None:
    beside = tasks_file.with_suffix(".tar.gz")
    kept = beside.read_bytes()
    beside.write_bytes(kept + b"\0")
    try:
        with pytest.raises(UserError, match="is not the repository that its tasks were found in"):
            judge(tasks_file, {"right": BODY})
    finally:
        beside.write_bytes(kept)


def test_a_repository_without_tests_that_pass_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(UserError, match="no test of the repository passes here"):
        write_tasks(tmp_path, tmp_path / "out.jsonl", 5, Progress("tasks"))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("def f(): return 1\n", [], id="one-line"),
        pytest.param("def f():\n    return 1\n", [], id="a-body-of-one-line"),
        pytest.param("def f():\n    a = 1\n    return a", ["f"], id="no-end-of-line"),
        pytest.param(
            "class A:\n    @property\n    def f(self):\n        a = 1\n        return a\n",
            ["A.f"],
            id="method",
        ),
        pytest.param("def f():\n\tx = 1\n\treturn x\n", ["f"], id="tabs"),
        pytest.param("def f():\r\n    x = 1\r\n    return x\r\n", ["f"], id="windows"),
        pytest.param("if True:\n    def f():\n        x = 1\n        return x\n", ["f"], id="below-if"),
        pytest.param("def f(:\n", [], id="no-python"),
        pytest.param("\x0cdef f():\n    x = 1\n    return x\n", ["f"], id="form-feed"),
    ],
)
def test_bodies_are_cut_where_they_are(text: str, names: list[str]) -> None:
    found = list(functions_in(text))
    assert [function.name for function in found] == names
    for function in found:
        assert function.before + function.body + function.behind == text
        compile(function.stubbed(), "x", "exec")
