"""Putting answers and tests together: pure text."""

from __future__ import annotations

import re

import pytest

from daybreak_evaluate.runtimes.assembling import cpp, csharp, go, java, rust
from daybreak_evaluate.runtimes.assembling.sources import called_names, opened_function, without_end
from daybreak_evaluate.task import Task


@pytest.mark.parametrize(
    ("entry_point", "in_prompt", "in_answer", "test", "asked", "helpers"),
    [
        ("f", ["f"], ["f"], "f(1)", ("f",), ()),
        ("", ["g", "f"], ["g", "f"], "f(g(1))", ("f",), ("g",)),
        ("", ["g", "f"], ["g", "f"], "f(1)", ("f",), ()),
        ("", [], ["assert", "f"], "assert(f(1))", ("f",), ()),
        ("f", ["g", "f"], ["g", "f"], "f(g(1))", ("f",), ("g",)),
    ],
    ids=["named", "a helper", "an unused helper", "the answer's own", "named beside a helper"],
)
def test_names_that_a_test_calls(
    entry_point: str,
    in_prompt: list[str],
    in_answer: list[str],
    test: str,
    asked: tuple[str],
    helpers: tuple[str],
) -> None:
    found = called_names(entry_point, in_prompt, in_answer, test, {"assert"})
    assert (found.asked, found.helpers) == (asked, helpers)


@pytest.mark.parametrize(
    ("test", "end", "rest"),
    [
        ("}\n\nrun", "}\n", "\nrun"),
        ("    }\nrun", "    }\n", "run"),
        ("end\nrun", "end\n", "run"),
        ("ending = 1", "", "ending = 1"),
        ("run }", "", "run }"),
    ],
)
def test_the_end_of_the_prompts_function_goes_to_the_answer(test: str, end: str, rest: str) -> None:
    assert without_end(test) == (end, rest)


def go_text(completion: str, prompt: str = "func F() int {\n") -> str:
    task = Task(
        "t",
        "go",
        prompt,
        "func TestF(t *testing.T) { F() }\n",
        preamble='package main\nimport (\n"testing"\n"os"\n)\n',
    )
    return dict(go.assemble(task, completion, "").answer)["answer.go"]


def test_go_gets_the_imports_that_it_uses() -> None:
    text = go_text('return len(strings.Repeat("a", 3)) }\n')
    assert '"strings"' in text
    assert '"testing"' in text
    assert '"os"' not in text
    assert text.count("package ") == 1


def test_go_keeps_the_names_that_its_task_says_and_no_others() -> None:
    task = Task(
        "t", "go", "// F is a max.\nfunc F(a []int) int {\n", "func TestF(t *testing.T) { len(nil) }\n"
    )
    guard = dict(go.assemble(task, "return 1 }\n", "").answer)["guard.go"]
    assert re.findall(r"import (\w+) ", guard) == ["int", "nil", "len"]


def test_go_directives_that_reach_other_packages_become_comments() -> None:
    assert "\n// go:linkname" in go_text("return 1 }\n//go:linkname a b.c\n")


@pytest.mark.parametrize(
    "macro", ["#define x", "# define x", "%:define x", "#/**/define/**/x", "#\\\ndefine x", "#def\\\nine x"]
)
def test_macros_of_a_cpp_answer_are_taken_back(macro: str) -> None:
    task = Task("t", "cpp", "int f() {\n", "int main() { assert(f() == 1); }\n")
    assert "\n#undef x\n" in cpp.assemble(task, f"return 1; }}\n{macro} 2\n", "").stdin


def test_rust_assertions_go_by_their_full_path() -> None:
    task = Task(
        "t",
        "rust",
        "fn f() -> i32 {\n",
        "fn main() { assert_eq!(f(), vec![1].len() as i32); crate::vec![1]; }\n",
    )
    text = rust.assemble(task, "1 }\n", "k").stdin
    assert "::std::assert_eq!(f(), ::std::vec![1]" in text
    assert "crate::vec!" in text
    assert "{ answer_test_k(); 0 }" in text


def test_every_rust_test_says_its_share_of_the_ending() -> None:
    test = "#[cfg(test)]\nmod tests { #[test]\nfn a() -> Result<(), u8> { Ok(()) }\n#[test]\nfn b() { } }\n"
    sources = rust.assemble(Task("t", "rust", "fn f() {\n", test), "}\n", "k")
    shares = re.findall(r"daybreak_end\(0x(\w{16})\)", sources.stdin)
    assert len(shares) == 2
    assert int(shares[0], 16) ^ int(shares[1], 16) == int(sources.ending, 16)
    assert rust.assemble(Task("t", "rust", "fn f() {\n", test), "}\n", "l").ending != sources.ending


def test_a_rust_test_without_a_test_fails() -> None:
    task = Task("t", "rust", "fn f() -> i32 {\n", "// nothing\n")
    assert "{  1 }" in rust.assemble(task, "1 }\n", "k").stdin


@pytest.mark.parametrize(
    ("completion", "refused"),
    [
        ("    using A = B;", True),
        ("using/* x */Compare\\u004cogic // y\n=  Mine ;", True),
        ("using (var a = b()) { }", False),
        ("using (A a = b()) { }", False),
        ("using System.Text;", False),
        ("int using_up = 1;", False),
        ("// using it\nint a = 1;", False),
    ],
)
def test_csharp_takes_no_alias_from_an_answer(completion: str, refused: bool) -> None:
    task = Task(
        "t", "csharp", "class P {\n", "static void Main() { System.Diagnostics.Debug.Assert(F()); }\n}\n"
    )
    sources = csharp.assemble(task, completion, "77")
    text = dict(sources.answer)["program.cs"]
    assert ("#error" in text) == refused
    assert "{ global::Check_77.Assert(F()); }" in text
    assert sources.arguments[0] == "/out/program.exe"
    assert {"Main", "Debug", "F"} <= set(sources.arguments)


JAVA_HEAD = (
    "import java.util.*;\nclass Solution {\n    // Knowing that (a) is { less\n"
    "    public List<Integer> above(List<Integer> a, int b) {\n"
)


@pytest.mark.parametrize(
    ("test", "wanted"),
    [
        ("check(s.above(x, f(1)), y);", "check(daybreak.Plain.of(s.above(x, f(1))), y);"),
        (
            'new Solution().above(g(")"), 1).equals(y)',
            'daybreak.Plain.of(new Solution().above(g(")"), 1)).equals(y)',
        ),
        ("return above(x, 1);", "return daybreak.Plain.of(above(x, 1));"),
        ("List<Integer> above(List<Integer> a) { }", "List<Integer> above(List<Integer> a) { }"),
        ("farabove(x); s.aboveAll(x);", "farabove(x); s.aboveAll(x);"),
    ],
)
def test_java_tests_see_plain_answers(test: str, wanted: str) -> None:
    task = Task("t", "java", JAVA_HEAD, f"class Main {{ static void main(String[] a) {{ {test} }} }}\n")
    text = dict(java.assemble(task, "return a; } }\n", "").answer)["Main.java"]
    assert wanted in text


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("vector<int> f(vector<int> a) {\n", ("vector<int>", "f")),
        ("long long f(int a,\n  int b){\n", ("long long", "f")),
        ("const string& f(const string& a) {\n", ("const string&", "f")),
        ("    public static int[] f(int a) throws Exception {\n", ("int[]", "f")),
        ("/* Knowing that (a < b) {or not} */\nmap<char,int> f(string a) {\n", ("map<char,int>", "f")),
        ("void f(int* a) {\n", None),
        ("auto f(int a) {\n", None),
        ("int f(int a);\n", None),
        ("int f(int a) { return 1; }\n", None),
        ("", None),
    ],
)
def test_the_function_that_a_prompt_opens(head: str, wanted: tuple[str, str] | None) -> None:
    assert opened_function(head) == wanted


def test_a_cpp_answer_that_puts_comparisons_into_std_does_not_compile() -> None:
    task = Task("t", "cpp", "int f() {\n", "int main() { assert(f() == 1); }\n")
    for opening in (
        "namespace std {",
        "namespace\\\n std{",
        "#define q std\nnamespace q {",
        "#define n namespace\nn std {",
    ):
        text = cpp.assemble(task, f"return 1; }}\n{opening} bool operator==(A, A); }}\n", "").stdin
        assert "#error" in text, opening
    hash_of = "return 1; }\nnamespace std { template<> struct hash<P> { size_t operator()(P p) const; }; }\n"
    assert "#error" not in cpp.assemble(task, hash_of, "").stdin
