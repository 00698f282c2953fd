"""Compiled tests in a process of their own: which can be, what crosses, and what the others do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daybreak_evaluate.runtimes.assembling.apart import apart, parts
from daybreak_evaluate.task import Task
from tests.evaluate.runtimes.play import judge, plays
from tests.evaluate.runtimes.plays.more import crossing, honest

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("language", "prompt", "test", "is_apart"),
    [
        ("cpp", "int f(int a, const vector<pair<int, string>>& b = {}) {\n", "int main() { }", True),
        ("cpp", "// f\nint f() {\n    // begin {\n", "int main() { }", True),
        ("cpp", "int f(int a[]) {\n", "int main() { }", False),
        ("cpp", "int f(int a) {\n", "int main() { try { f(1); } catch (...) { } }", False),
        ("cpp", "void f(int a) {\n", "int main() { }", False),
        ("cpp", "int f(int a);\n", "int main() { }", False),
        ("cpp", "int f(int (*g)(int)) {\n", "int main() { }", False),
        ("rust", "fn f(a: &mut Vec<(i32, &str)>) {\n", "", False),
        ("rust", "fn f(mut a: Vec<(i32, String)>, b: &[i32]) {\n/* { */\n", "", True),
        ("rust", "pub fn f(a: &str) -> Option<HashMap<String, i32>> {\n", "", True),
        ("rust", "fn f<'a>(a: &'a str) -> &'a str {\n", "", False),
        ("rust", "fn f(a: i32) -> impl Fn() {\n", "", False),
        ("rust", "fn f(a: i32) -> i32 {\n", "#[test] #[should_panic] fn g() { }", False),
        ("go", "func F(a, b int, c map[string][]int) (int, bool) {\n", "", True),
        ("go", "func f(a []string) (found [2]int, ok bool) {\n", "", True),
        ("go", "func F(a []int) interface{} {\n", "", False),
        ("go", "func F(a ...int) int {\n", "", False),
        ("go", "func F(a *Node) int {\n", "", False),
        ("go", "func F(a int) (int, error) {\n", "", False),
        ("java", "class A { int f(int a) {\n", "", False),
    ],
)
def test_a_test_is_apart_where_its_calls_are_plain_data(
    language: str, prompt: str, test: str, is_apart: bool
) -> None:
    assert (apart(Task("t", language, prompt, test), "}\n", TOKEN) is not None) is is_apart


def test_lists_are_parted_at_their_outermost_commas() -> None:
    assert parts("Vec<(i32, u8)>, f: fn(i32) -> i32, [u8; 3]") == [
        "Vec<(i32, u8)>",
        "f: fn(i32) -> i32",
        "[u8; 3]",
    ]


@pytest.mark.parametrize("language", ["cpp", "go", "rust"])
def test_no_text_of_an_answer_is_compiled_with_its_test(language: str) -> None:
    play = plays()[language]
    both = apart(play.task, "/* of nobody else */" + next(iter(play.right.values())), TOKEN)
    assert both is not None
    answer = both.answer.stdin + "".join(text for _, text in both.answer.answer)
    test = both.test.stdin + "".join(text for _, text in both.test.answer)
    assert ("of nobody else" in answer, "of nobody else" in test) == (True, False)
    assert ("718281828" in answer, "718281828" in test) == (False, True)


@pytest.mark.needs("compilers")
@pytest.mark.xdist_group("runtimes")
@pytest.mark.parametrize("language", sorted(crossing.CROSSING))
def test_plain_data_crosses(language: str) -> None:
    task, answer = crossing.CROSSING[language]
    assert apart(task, answer, TOKEN) is not None
    assert {name: verdict.result for name, verdict in judge(task, {"right": answer}).items()} == {
        "right": "passed"
    }


ALONE = (
    "exits with 0",
    "leaves the frame of the test",
    "prints its own data",
    "assert_eq is another",
    "links to the seal",
)


@pytest.mark.needs("compilers")
@pytest.mark.xdist_group("runtimes")
@pytest.mark.parametrize("language", ["cpp", "go", "rust"])
def test_a_test_that_wants_its_answers_types_lives_with_it(language: str) -> None:
    """The test is no program without the answer's own declaration: both become one, with a secret."""
    play = plays()[language]
    own = {"cpp": "\nint own = 1;\n", "go": "\nvar own = 1\n", "rust": "\nconst OWN: i32 = 1;\n"}[language]
    use = {
        "cpp": "static int used = own;\n",
        "go": "func TestOwn(t *testing.T) { _ = own }\n",
        "rust": "const USED: i32 = OWN;\n",
    }[language]
    task = replace(play.task, test=play.task.test + use)
    assert apart(task, "", TOKEN) is not None
    cheats = {name: text + own for name, text in play.cheats.items() if name in ALONE}
    right = {name: text + own for name, text in list(play.right.items())[:1]}
    verdicts = judge(task, {**right, **cheats})
    assert [name for name, verdict in verdicts.items() if verdict.passed] == list(right)


@pytest.mark.needs("compilers")
@pytest.mark.xdist_group("runtimes")
@pytest.mark.parametrize("language", sorted(honest.PLAYS))
def test_no_honest_answer_is_refused(language: str) -> None:
    task, answers = honest.PLAYS[language]
    verdicts = judge(task, answers)
    assert {name: verdict.result for name, verdict in verdicts.items() if not verdict.passed} == {}
    assert len(verdicts) == len(answers)
