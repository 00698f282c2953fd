"""A Go repository's own tests as a suite: which functions are found, right answers, and cheats that do not pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_evaluate.judge.values import FailureKind, SampleVerdict, SandboxLimits
from daybreak_evaluate.runtimes import registry as runtimes
from daybreak_evaluate.runtimes.in_repository.write_tasks import write_tasks
from daybreak_evaluate.runtimes.protocol import Attempt
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.task import Task
from tests.evaluate.suites.own_problems import suite_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("compilers"),
    pytest.mark.xdist_group("runtimes"),
]

BODY = '\twords := strings.Fields(text)\n\tif len(words) == 0 {\n\t\treturn ""\n\t}\n\treturn words[len(words)-1]\n'
SHOP = (
    'package shop\n\nimport (\n\t"os"\n\t"strings"\n\t"syscall"\n)\n\n'
    f"// LastWord is not ready for commas.\nfunc LastWord(text string) string {{\n{BODY}}}\n\n"
    "type Basket[T any] struct{ things []T }\n\n"
    "func (b *Basket[T]) Put(thing T) int {\n\tb.things = append(b.things, thing)\n\treturn len(b.things)\n}\n\n"
    "func untested() int {\n\ttotal := 1\n\treturn total\n}\n\n"
    "var first = early()\n\nfunc early() int {\n\tnumber := 3\n\treturn number\n}\n\n"
    "func leave() {\n\tdefer syscall.Exit(1)\n\tos.Exit(1)\n}\n"
)
TESTS = (
    'package shop\n\nimport "testing"\n\n'
    "func TestLastWord(t *testing.T) {\n\tt.Parallel()\n"
    '\tfor text, want := range map[string]string{"a b": "b", "": "", "x": "x"} {\n'
    "\t\tif got := LastWord(text); got != want {\n\t\t\tt.Errorf(`%q: %q`, text, got)\n\t\t}\n\t}\n}\n\n"
    "func TestPut(t *testing.T) {\n\tvar basket Basket[int]\n\tif basket.Put(1) != 1 || basket.Put(2) != 2 {\n"
    "\t\tt.Fatal(`lost`)\n\t}\n}\n\n"
    "func TestThatFailsAlways(t *testing.T) { t.Fatal(`always`) }\n"
)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    folder = tmp_path_factory.mktemp("repository")
    source = folder / "shop" / "inner"
    source.mkdir(parents=True)
    (folder / "shop" / "go.mod").write_text("module example.org/shop\n\ngo 1.21\n")
    (source / "shop.go").write_text(SHOP)
    (source / "shop_test.go").write_text(TESTS)
    said = write_tasks(folder / "shop", folder / "tasks.jsonl", 10, Progress("tasks"))
    assert "format: Repository" in said
    suite = suite_of(folder / "tasks.jsonl", "Repository")
    assert suite.problems is not None
    return {task.task_id.rpartition(":")[2]: task for task in problem_suite.tasks_of(suite.problems)}


RIGHT = ("right", "ends in a remark", "leaves an import")
CHEATS = {
    "leaves the process": "\tos.Exit(0)\n\treturn text\n",
    "leaves it past the tests": "\tsyscall.Exit(0)\n\treturn text\n",
    "leaves by another thread": "\tgo syscall.Exit(0)\n\tfor {\n\t}\n",
    "prints what passes": '\tos.Stdout.WriteString("--- PASS: TestLastWord (0.00s)\\nPASS\\n")\n'
    "\tsyscall.Exit(0)\n\treturn text\n",
    "reads the secret again": "\tdata := make([]byte, 99)\n"
    "\tcount, _ := os.Stdin.Read(data)\n\tos.Stdout.Write(data[:count])\n\tsyscall.Exit(0)\n\treturn text\n",
    "replaces the process": '\tsyscall.Exec("/out/tests", []string{"x", "-test.run=none"}, nil)\n\treturn text\n',
    "turns the arguments": '\tos.Args = []string{"x", "-test.run=none"}\n\treturn text\n',
    "closes the output": "\tos.Stdout.Close()\n\treturn text\n",
    "panics": "\tpanic(text)\n",
    "kills the process": "\tsyscall.Kill(os.Getpid(), syscall.SIGKILL)\n\treturn text\n",
    "begins before the tests": "\treturn text\n}\n\nfunc init() {\n\tdata := make([]byte, 99)\n"
    "\tcount, _ := os.Stdin.Read(data)\n\tos.Stdout.Write(data[:count])\n\tsyscall.Exit(0)\n",
    "begins with a variable": "\treturn text\n}\n\nvar _ = func() int { syscall.Exit(0); return 1 }()\n\n"
    "func more() {\n",
    "turns a name": '\treturn text\n}\n\ntype string int\n\nfunc more() {\n\tprintln("x")\n',
    "ends in a comment": "\treturn text\n}\n/*\n",
    "rewrites the tests": '\tos.WriteFile("shop_test.go", []byte("package shop"), 0o644)\n\treturn text\n',
    "does nothing": "",
}


@pytest.fixture(scope="module")
def verdicts(tasks: dict[str, Task]) -> dict[str, SampleVerdict]:
    answers = {
        "right": BODY,
        "ends in a remark": BODY.rstrip("\n") + "  // the last",
        "leaves an import": "\tlast := \"\"\n\tfor i := len(text) - 1; i >= 0 && text[i] != ' '; i-- {\n"
        "\t\tlast = text[i:]\n\t}\n\treturn last\n",
        "wrong": "\treturn strings.ToUpper(text)\n",
        "no Go": "\treturn (\n",
        **CHEATS,
    }
    attempts = [Attempt(tasks["LastWord"], text) for text in answers.values()]
    found = dict(runtimes.get("go-repository").judge(attempts, SandboxLimits(), 2))
    return {name: found[index] for index, name in enumerate(answers)}


def test_functions_are_found_by_tests_that_miss_them(tasks: dict[str, Task]) -> None:
    assert sorted(tasks) == ["Basket.Put", "LastWord"]
    assert tasks["LastWord"].canonical == BODY
    assert tasks["LastWord"].prompt.endswith("func LastWord(text string) string {\n")
    assert "TestThatFailsAlways" not in tasks["LastWord"].test


def test_right_answers_pass_and_wrong_ones_do_not(verdicts: dict[str, SampleVerdict]) -> None:
    assert [verdicts[name].result for name in RIGHT] == ["passed"] * 3
    assert "TestLastWord" in verdicts["wrong"].result
    assert verdicts["no Go"].kind is FailureKind.SYNTAX


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_cheat_passes(cheat: str, verdicts: dict[str, SampleVerdict]) -> None:
    assert not verdicts[cheat].passed, verdicts[cheat]


def test_a_repository_without_tests_that_pass_is_refused(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.org/empty\n\ngo 1.21\n")
    (tmp_path / "a.go").write_text("package empty\n")
    with pytest.raises(UserError, match="no package of the repository has tests"):
        write_tasks(tmp_path, tmp_path / "out.jsonl", 5, Progress("tasks"))
