"""Whether a text is a program: native parsers, grammars, what is excused, and what must not crash."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_data.syntax import grammars
from daybreak_data.syntax.check import CAP_BYTES, SyntaxResult, check_syntax
from tests.plugins.profiles import all_orders, examples

PYTHON_2 = "import sys\n\ndef tell(name):\n    print 'hello', name\n    print >>sys.stderr, `name`\n"
GOOD = {
    "python": "def add(left, right):\n    match left:\n        case 1: return right\n    return left + right\n",
    "javascript": "export const a = async () => { await b?.c ?? d; };\n",
    "typescript": "interface A<T> { b: T }\nconst a: A<number> = { b: 1 };\n",
    "tsx": "const A = (p: { b: string }) => <div style={{ c: 1 }}>{p.b}</div>;\n",
    "java": "public record A(int b) { int c() { return switch (b) { case 1 -> 2; default -> 3; }; } }\n",
    "go": "package a\n\nfunc Map[T any](in []T) []T { return in }\n",
    "c": "#include <stdio.h>\nint main(void) { printf(\"%d\\n\", 1); return 0; }\n",
    "cpp": "template <typename T> auto add(T a, T b) -> decltype(a + b) { return a + b; }\n",
    "rust": "impl<T: Clone> A for Vec<T> { fn b(&self) -> Option<T> { self.first().cloned() } }\n",
    "html": "<!doctype html><html><body><p>text</p></body></html>\n",
    "css": "@media (min-width: 1px) { a:hover { color: red; } }\n",
    "ruby": "class A\n  def b(c) = c.map { |d| d + 1 }\nend\n",
    "php": "<?php\nfunction a(int $b): ?string { return $b > 1 ? 'c' : null; }\n",
    "csharp": "using System;\nnamespace A { class B { int C => 1; } }\n",
    "shell": "#!/bin/bash\nfor f in *.txt; do\n  echo \"$f\"\ndone\n",
    "kotlin": "data class A(val b: Int) {\n  fun c(): String = \"${b}\"\n}\n",
    "scala": "object A { def b(c: Int): Int = c match { case 1 => 2; case _ => 3 } }\n",
    "swift": "struct A { let b: Int\n  func c() -> Int { return b + 1 } }\n",
    "objective-c": "#import <A/A.h>\n@implementation A\n- (int)b { return [self c]; }\n@end\n",
    "json": '{"a": [1, 2.5, null, true], "b": "c"}\n',
    "json-with-comments": '{\n  // why\n  "a": "// no comment", /* b */ "c": [1, 2,],\n}\n',
    "toml": "[a]\nb = 1979-05-27\n",
    "yaml": "a: &b [1, 2]\nc: *b\nd: !custom e\n",
    "xml": '<?xml version="1.0"?><a b="c"><d/></a>\n',
}  # fmt: skip
BROKEN = {
    "python": "def add(left, right:\n    return left\n",
    "javascript": "export const a = async () => { await b?.c ?? ;\n",
    "typescript": "interface A<T { b: T \nconst a: = 1;\n",
    "tsx": "const A = (p: { b: string } => <div>{p.b</div>;\n",
    "java": "public class A { int b( { return 1; }\n",
    "go": "package a\n\nfunc add(a int b int) {\n",
    "c": "int main(void) { if (1 { return 0; }\n",
    "cpp": "class A { public int b() { return 1 } ;\n",
    "rust": "fn a(b: i32 -> i32 { b +  }\n",
    "html": "<html><body><div><p <b></body>\n",
    "css": "a { color red; } } b {\n",
    "ruby": "class A\n  def b(c\n    c +\n",
    "php": "<?php\nfunction a(int $b { return $b > ; }\n",
    "csharp": "namespace A { class B { int C( => ; }\n",
    "shell": "for f in *.txt; do\n  if [ -f a ]; then\n",
    "kotlin": "data class A(val b: Int) { fun c(: String = b }\n",
    "scala": "object A { def b(c: Int): Int = c match { case 1 => 2\n",
    "swift": "struct A { let b: Int\n  func c() -> Int { return b + 1\n",
    "objective-c": "#import <A/A.h>\n@implementation A\n- (int)b { return [self c];\n@end\n",
    "json": '{"a": [1, 2}\n',
    "json-with-comments": '{"a": 1,, }\n',
    "toml": "[a\nb = 1\n",
    "yaml": "a: [1, 2\nb: c\n",
    "xml": "<a><b></a>\n",
}


@pytest.mark.parametrize("language", GOOD, ids=lambda language: f"good {language} is ok")
def test_a_good_text_of_each_language_is_ok(language: str) -> None:
    found = check_syntax(GOOD[language], language, "a")
    assert (found.verdict, found.detail, found.tags) == ("ok", "", ())


@pytest.mark.parametrize("language", BROKEN, ids=lambda language: f"broken {language} is an error")
def test_a_broken_text_of_each_language_is_an_error(language: str) -> None:
    found = check_syntax(BROKEN[language], language, "a")
    assert found.verdict == "error"
    assert found.detail


@pytest.mark.parametrize(
    ("text", "language", "path", "expected"),
    [
        pytest.param(
            "x = (\n",
            "python",
            "a.py",
            SyntaxResult("error", "cpython", "line 1: '(' was never closed"),
            id="an error names its line",
        ),
        pytest.param(
            "x = '\\d'\n", "python", "a.py", SyntaxResult("ok", "cpython"), id="a warning is no error"
        ),
        pytest.param(
            "def a():\n    return 1\n  b\n",
            "python",
            "a.py",
            SyntaxResult("error", "cpython", "line 3: unindent does not match any outer indentation level"),
            id="indentation counts",
        ),
        pytest.param(
            "x = 1\0\n",
            "python",
            "a.py",
            SyntaxResult("error", "cpython", "source code string cannot contain null bytes"),
            id="NUL in Python",
        ),
        pytest.param(
            "x = 10 ** 10\nreturn x\n",
            "python",
            "a.py",
            SyntaxResult("ok", "cpython"),
            id="what only the compiler refuses",
        ),
        pytest.param(
            PYTHON_2,
            "python",
            "a.py",
            SyntaxResult("ok", "tree-sitter-python", "", ("python2",)),
            id="Python 2 is tagged",
        ),
        pytest.param(
            "if x:\n\tprint(1)\n        print(2)\n",
            "python",
            "a.py",
            SyntaxResult("ok", "tree-sitter-python", "", ("python2",)),
            id="tabs as Python 2 counts them",
        ),
        pytest.param(
            "a" + ".b" * 5000 + "\n",
            "python",
            "a.py",
            SyntaxResult("skipped", "cpython", "nested too deeply for CPython's parser"),
            id="what CPython finds too deep",
        ),
        pytest.param(
            "x",
            None,
            "a",
            SyntaxResult("skipped", "none", "no parser for an unknown language"),
            id="an unknown language",
        ),
        pytest.param(
            "x",
            "haskell",
            "a.hs",
            SyntaxResult("skipped", "none", "no parser for haskell"),
            id="a language without a parser",
        ),
        pytest.param(
            "#" * (CAP_BYTES + 1),
            "python",
            "a.py",
            SyntaxResult("skipped", "none", "1000001 bytes, parsed up to 1000000"),
            id="a text over the cap",
        ),
        pytest.param(
            "é" * 600_000,
            "python",
            "a.py",
            SyntaxResult("skipped", "none", "1200000 bytes, parsed up to 1000000"),
            id="the cap counts bytes",
        ),
        pytest.param("1" * 5000, "json", "a.json", SyntaxResult("ok", "json"), id="a number of 5,000 digits"),
        pytest.param(
            "a = " + "1" * 5000, "toml", "a.toml", ("error", ()), id="a number that TOML cannot hold"
        ),
        pytest.param(
            '{"a": 1}\n\n{"a": 2}\n', "json", "a.jsonl", SyntaxResult("ok", "json"), id="a value a line"
        ),
        pytest.param(
            '{"a": 1}\n{\n"a": 2}\n',
            "json",
            "a.json",
            SyntaxResult("error", "json", "line 2: Extra data"),
            id="two values in one text",
        ),
        pytest.param(
            '{"a": 1}\n{"a": \n',
            "json",
            "a.jsonl",
            SyntaxResult("error", "json", "line 2: line 1: Expecting value"),
            id="a broken line of many",
        ),
        pytest.param(
            "a: *b\n", "yaml", "a.yml", SyntaxResult("ok", "libyaml"), id="an alias is not followed"
        ),
        pytest.param(
            "a: !!python/object/apply:os.system [ls]\n",
            "yaml",
            "a.yml",
            SyntaxResult("ok", "libyaml"),
            id="a tag is not constructed",
        ),
        pytest.param(
            "a: {{ .Values.b }}\nc: {{- d }}:\n",
            "yaml",
            "a.yaml",
            ("skipped", ("templated",)),
            id="a template of a chart",
        ),
        pytest.param(
            "@AUTO_NAME@ { int a\n", "c", "a.c.in", ("skipped", ("templated",)), id="a template of autoconf"
        ),
        pytest.param(
            "DECLARE_ALL(x y z) STUFF {{{ int a\n",
            "c",
            "a.h",
            ("skipped", ("header",)),
            id="a header full of macros",
        ),
        pytest.param(
            "template <typename T> class a : public b<T> { public: a(); };\n",
            "c",
            "a.h",
            SyntaxResult("ok", "tree-sitter-cpp"),
            id="a header of C that is C++",
        ),
        pytest.param(
            '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            "xml",
            "a.xml",
            SyntaxResult("skipped", "expat", "line 1: declares the entity 'b'; entities are refused"),
            id="an entity is refused",
        ),
        pytest.param(
            "<a>&nbsp;</a>",
            "xml",
            "a.xml",
            SyntaxResult("ok", "expat", "", ("fragment",)),
            id="an entity that another file declares",
        ),
        pytest.param(
            '<?xml version="1.0" encoding="utf-16"?><a>é</a>',
            "xml",
            "a.xml",
            SyntaxResult("ok", "expat"),
            id="the declared encoding is history",
        ),
    ],
)
def test_a_text_is_judged_with_its_reason(
    text: str, language: str | None, path: str, expected: SyntaxResult | tuple[str, tuple[str, ...]]
) -> None:
    found = check_syntax(text, language, path)
    assert (
        found == expected if isinstance(expected, SyntaxResult) else (found.verdict, found.tags) == expected
    )


@pytest.mark.parametrize(
    "line",
    [
        "print 'a'",
        "print",
        "exec 'a'",
        "raise A, 'b'",
        "x = 0777",
        "x = 10L",
        "if a <> b: pass",
        "def f(a): print a",
        "x = `a`",
        "x = ur'a'",
    ],
)
def test_what_only_python_2_has_is_known(line: str) -> None:
    found = check_syntax(f"import a\n{line}\n", "python", "a.py")
    assert (found.verdict, found.tags) in {("ok", ("python2",)), ("ok", ())}
    broken = check_syntax(f"import a\n{line}\nx = ((\n", "python", "a.py")
    assert broken.verdict == "error"


def test_a_small_error_in_a_large_file_is_forgiven_and_told() -> None:
    text = "int add(int a, int b) { return a + b; }\n" * 200
    found = check_syntax(text + "int c = ;\n" + text, "c", "a.c")
    assert found.verdict == "ok"
    assert found.detail.startswith("line 201: 0.0")


def test_a_file_that_ends_half_way_is_not_forgiven() -> None:
    text = "int add(int a, int b) { return a + b; }\n" * 500
    assert check_syntax(text + "int main(void) { return 0;\n", "c", "a.c").verdict == "error"


def test_a_parse_is_given_up_when_its_time_is_over() -> None:
    now = iter(range(0, 100_000, 10))
    found = check_syntax(
        "int add(int a, int b) { return a + b; }\n" * 5000, "c", "a.c", clock=lambda: next(now)
    )
    assert found == SyntaxResult("skipped", "tree-sitter-c", "takes too long to parse")


LANGUAGES = sorted(GOOD)


@given(
    st.sampled_from(LANGUAGES),
    st.text(alphabet=st.sampled_from(list("(){}[]<>;:,.\"'`#/*&%$@=+-\\ \n\tabif01é\ud800")), max_size=300),
)
@settings(max_examples=examples(300), deadline=None)
def test_any_text_is_judged(language: str, text: str) -> None:
    found = check_syntax(text, language, "a")
    assert found.verdict in {"ok", "error", "skipped"}
    assert "\n" not in found.detail


@given(st.sampled_from(LANGUAGES), st.integers(1, 99))
@settings(max_examples=examples(200), deadline=None)
def test_a_truncated_program_is_judged(language: str, percent: int) -> None:
    text = (
        GOOD[language] * 3
        if language not in {"json", "xml", "toml", "json-with-comments"}
        else GOOD[language]
    )
    assert check_syntax(text[: len(text) * percent // 100], language, "a").verdict in {
        "ok",
        "error",
        "skipped",
    }


HOSTILE = (
    "[",
    "(",
    "{",
    "{\n",
    "a: {\n",
    "a<",
    "a<\n",
    "(a*",
    "((a)",
    "<div>",
    "<div>\n",
    '"',
    "`",
    "${",
    "if(a)\n",
    "else\n",
    "<<E\n",
    "a?b:",
    "&a ",
    "#define x \\\n",
    "a::\n",
    "f(\n",
    "-",
    "not ",
    "lambda:",
    "- ",
    "a: b: ",
    "&a [*a,",
    "a.b",
    "a=\n",
    "/*",
    "\\",
)
_CHILD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from daybreak_data.syntax.check import check_syntax
for piece in {pieces!r}:
    for size in (20_000, 200_000):
        found = check_syntax(piece * (size // len(piece)), {language!r}, "a")
        assert found.verdict in ("ok", "error", "skipped"), found
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""
MAX_KB = 2_500_000
"""Of a process that parsed all of the above; the worst (shell) took 1.3 to 1.6 million."""


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_nested_text_neither_crashes_nor_eats_the_process(language: str) -> None:
    """In a process of its own with 4 GB: an overflow of the stack in a grammar would kill pytest.

    The kernel's own high-water mark is read: ``ru_maxrss`` is inherited from whoever started the process.
    """
    # A piece is hostile to the grammars of several languages: without all orders each meets a fourth of them.
    pieces = HOSTILE if all_orders() else HOSTILE[LANGUAGES.index(language) % 4 :: 4]
    child = subprocess.run(
        [sys.executable, "-c", _CHILD.format(pieces=pieces, language=language)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert int(child.stdout) < MAX_KB


def test_depth_is_measured_without_recursion() -> None:
    assert grammars.nesting(b"", b"(", b")") == 0
    assert grammars.nesting(b")))((()))(", b"(", b")") == 3
    assert grammars.nesting(b"(" * 100_000, b"([{", b")]}") == 100_000
