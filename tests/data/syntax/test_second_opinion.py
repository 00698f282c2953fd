"""What a grammar or an old parser refuses: torn files are errors, files of a newer or wider language are not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_data.syntax import brackets, words
from daybreak_data.syntax.check import check_syntax
from tests.plugins.profiles import examples

FINE = [
    ("a function with a type parameter", "python", "a.py", "def first[T](a: list[T]) -> T:\n    return a[0]\n"),
    ("a type statement", "python", "a.py", "type Pair[T] = tuple[T, T]\ntype A = int\n"),
    ("a class with defaults of parameters", "python", "a.py", "class A[*Ts, **P, T = int](B[T]):\n    pass\n"),
    ("quotes nested in an f-string", "python", "a.py", "print(f'{a['b']}', f\"{x[\"y\"]!r:>{w}}\")\n"),
    ("a template string", "python", "a.py", "x = t'{a} ' rt'{b}'\n"),
    ("two exceptions without parentheses", "python", "a.py", "try:\n    a\nexcept OSError, ValueError:\n    pass\n"),
    ("defaults of type parameters", "python", "a.py", "type A[T = int, *P = *tuple[int, ...]] = dict[T, P]\n"),
    ("a function with them", "python", "a.py", "def f[T = list[dict[str, int]]](a: T) -> T:\n    return a\n"),
    ("raw t-strings", "python", "a.py", "a = rt'{b}'\nc = Rt\"d\"\n"),
    ("unpacking in a list", "python", "a.py", "a = [*row for row in rows]\nb = [\n    *c\n    for c in d\n]\n"),
    ("unpacking in a set and a dict", "python", "a.py", "a = {*b for b in c}\nd = {**e for e in f}\n"),
    ("a plus in a pattern", "python", "a.py", "match a:\n    case +1 | [ + 2.5, A(b=+3)]:\n        pass\n"),
    ("lazy imports", "python", "a.py", "lazy import json\nlazy from a import b\n"),
    ("magics of a notebook", "python", "a.py", "%matplotlib inline\n!pip install a\nimport a\n"),
    ("new() of a value", "go", "a.go", "package a\n\nfunc f() T { return T{N: new(int32(2))} }\n"),
    ("a macro without semicolon", "cpp", "a.cpp", 'SUPPRESS("-Wx")\nTEST_CASE("adds") { CHECK(1 + 1 == 2); }\n'),
    ("a calling convention", "cpp", "a.cpp", "int CALLCONV Doc::Version() const { return 3; }\n"),
    ("a type as argument", "c", "a.c", "void f(s *s, int i) { s->n = cast(unsigned short, i); }\n"),
    ("bases by #if", "cpp", "a.cpp", "class A\n#if X\n : public B {\n#else\n : public C {\n#endif\n int a; };\n"),
    ("a condition by #ifdef", "cpp", "a.cpp", "void f() {\n#ifdef A\n if (a &&\n#else\n if (\n#endif\n b) c();\n}\n"),
    ("an end by #ifdef", "c", "a.c", "void f() {\n#ifdef A\n if (a) {\n#endif\n b();\n#ifdef A\n }\n#endif\n}\nX(=)\n"),
    ("macros that open and close", "c", "a.c", "#define BEGIN { if (a) {\nvoid f(void) BEGIN b(); } }\nX(=)\n"),
    ("a half macro of many lines", "c", "a.c", "#define END \\\n  c(); \\\n }\nvoid f(void) { X(=) END\n"),
    ("marks of a comment in a directive", "c", "a.c", "#define ANY \"*/*\"\nint f(void) { X(=) } /* a */\nint a;\n"),
    ("a line comment in a directive", "c", "a.c", "#define A 1 // see b/*.c\nint f(void) { X(=) } /* a */\n"),
    ("a macro of another file that opens", "cpp", "a.cpp", "LOCAL_STRUCT( Item )\n  int a;\n};\nvoid f() {}\nX(=)\n"),
    (
        "names that are defined or not",
        "cpp",
        "a.cpp",
        "void f() {\n#ifdef A\n if (b) {\n#endif\n c(\n#ifndef A\n d)\n#else\n e); }\n#endif\n}\nX(=)\n",
    ),
    ("C++/CLI", "cpp", "a.cpp", "ref class Item { String ^ name_; property int N { int get(); } };\n"),
    ("a module", "cpp", "a.cppm", "export module a;\nexport import b;\nexport int f() { return 1; }\n"),
    ("comments in a launch.json", "json", ".vscode/launch.json", '{\n  // why\n  "a": [1,],\n}\n'),
    ("a chart that begins with a comment", "yaml", "c/a.yaml", "{{- /* a */ -}}\n{{- if .a }}\nb: c\n{{- end }}\n"),
    ("a chart of one call", "yaml", "c/a.yaml", '{{- include "a.b" . -}}\n'),
    ("keys without quotes", "json", "a.json", "{a: [{b: 'c\\'d', // e\n f: 1},],\n \"g\": \"h: 'i'\"}\n"),
    ("keys without quotes beside comments", "json-with-comments", "a.jsonc", "// a\n{b: 'c', \"d\": [1,]}\n"),
    ("a manual that names what to include", "xml", "doc/a.xml", "<a>\n<#Include Label=\"b\">\n<b>c &d;</b></a>\n"),
    ("FreeMarker", "xml", "a.xml", "<a>\n<#if b>\n<c>\n<#else>\n<c d=\"e\">\n</#if>\n</c></a>\n"),
    ("blocks of Handlebars", "json", "a.json", '{\n{{#if a}}\n"b": 1,\n{{/if}}\n"c": 2}\n'),
    ("a page of MJML", "xml", "a.mjml", "<mj-raw><p></mj-raw>\n<mj-text>a<br>b</mj-text>\n"),
    ("raw lines of Swift", "swift", "a.swift", 'let a = #"""\n  b = (#""c"")#\n  """#\nX(=)\nlet d = #""""e"#\n'),
    ("a link with an expression", "scss", "a.scss", "@import url(//a.b?d=#{ e('F') }:1,2);\na { b: url($c + (d)); }\n"),
    ("a later YAML", "yaml", "a.yaml", "%YAML 1.3 # a\n---\nb: c\n"),
    ("a test of PHP", "php", "a.phpt", "--TEST--\na (b\n--FILE--\n<?php\nX(=);\n--EXPECTF--\nobject(A)#%i {\n}\n}\n"),
    ("titles of bats", "shell", "a.bats", "@test { {:;}\n@test ' {\n  a; }\n@test \"c\" {\n  if d; then e; fi\n}\n"),
    ("tests that are called as XML is", "xml", "a.tml", "=== A\n--- yaml\na: B <c@d.org>\n"),
    ("empty comments", "html", "a.html", "<!--><p>a</p>\n<!---><p>b</p>\n<!-- c --!><p <b\n</p>\n"),
    ("a page without its last ends", "html", "a.html", "<html><head></head><body><div>a</div><p <b>\n"),
    ("a value a line", "json", "a.tokens.json", '{"a": 1}\n{"b": [2]}\n\n"c"\n'),
    ("Kotlin that a shell starts", "shell", "a.kts", "#!/bin/sh\n//bin/true; exec kotlinc \"$0\"\n/* it's */\nX(=)\n"),
    ("a comment of the shell", "json", "a.json", '#syntax: json\n{\n  # why\n  "a": "# b"\n}\n'),
    ("a Makefile that is called targets", "xml", "src/Makefile.targets", "# a\nall: b < c\n\techo '<'\n"),
    ("types of Flow", "javascript", "a.js", "type A = {| +a: ?B |};\nfunction f(x: A): string { return (x: any); }\n"),
    ("modifiers of zsh", "shell", "a.zsh", "f=/a/b\necho ${f:h:t} ${(@f)f}\nfor x in a; do echo $x; done\n"),
    ("csh", "shell", ".login", "if ($?a) then\n  set b = (c d)\nendif\n"),
    ("rc of Plan 9", "shell", "bin/man", "#!/bin/rc\nswitch($1){\ncase a\n\techo b\ncase *\n\texit c\n}\n"),
    ("quotes inside of $''", "shell", "a.sh", "a=($'it\\'s' b)\nif c; then\n  d\nfi\nX(=)\n"),
    ("patterns of Swift", "swift", "a.swift", "let a = /x{2}\"[(]/\nlet b = #/ \" { /#\nlet c = 1 / 2; X(=)\n"),
    ("an inline table of lines", "toml", "a.toml", "a = {\n  b = 1, # why\n  c = [\n    2,\n  ],\n}\n"),
    ("times and escapes of TOML 1.1", "toml", "a.toml", 'a = 07:32\nb = "\\e[0m \\x41"\nc = \'\\e\'\n'),
    ("a template of a project", "xml", "a/app-template.vcxproj", "<a>\n  <SOURCES>\n</a>\n"),
    ("several roots", "xml", "a.xml", "<a/>\n<b>c</b>\n"),
    ("XML by #ifdef", "xml", "a.xaml", "<a>\n#ifdef B\n<b c='1'>\n#else\n<b>\n#endif\n</b></a>\n"),
    ("a page that forgets an end", "html", "a.html", "<html><body><div><ul><li>a<b\n</li></body></html>\n"),
    ("declarations alone", "xml", "a.mod", '<!-- a --><!ENTITY b "c">\n'),
    ("a table of controls", "c", "a.c", "/* 1 \x01\n * 2 \x02 \x03 \x04\n * 5 \x05\x06\x0e\x0f */\nX(=)\n"),
    ("in strings", "c", "a.c", 'char *a = "\ufffd\ufffd\ufffd", *b = "\ufffd\\"\ufffd\ufffd\ufffd\ufffd";\nX(=)\n'),
    ("one behind slashes", "go", "a.go", "package a\n\nvar x = N{=} // \x01 \x02 \x03 \x04 \x05 \x06 \x0e \x0f\n"),
    ("documents without ---", "yaml", ".clang-format", "A: 1\n...\nB: 2\n---\nC: 3\n...\nD: 4\n"),
    ("tabs where YAML 1.2 allows them", "yaml", "a.yaml", "a: b\n\t# c\nd:\n-\te\n\t\n- f\n"),
    ("a handle of all documents", "yaml", "a.yaml", "%TAG !u! tag:a,2011:\n--- !u!1 &2\nA: 1\n--- !u!4 &3\nB: 1\n"),
    ("async as a name", "python", "a.py", "def f(async=True):\n    x.async(1, async=async)\n"),
    ("magics that are assigned", "python", "a.py", "x = !ls -l\ny, z = %time f()\n?foo\nfoo??\n"),
    ("a bracket in a nested string, Kotlin", "kotlin", "a.kt", 'val a = "${if (b) "}" else c}"; X(=)\n'),
    ("a bracket in a nested string, C#", "csharp", "a.cs", 'class A { string s = $"{(a ? "}" : b)}"; X(=) }\n'),
    ("doubled braces, C#", "csharp", "a.cs", 'class A { string s = $"{{ {a}"; string t = @"""x"; X(=) }\n'),
    ("a bracket in a nested string, Swift", "swift", "a.swift", 'let a = "\\(b ? ")" : "(") c"; X(=)\n'),
    ("two here-documents on a line", "shell", "a.sh", "cat <<A <<B\nit's\nA\nfoo\"\nB\nx ( = )\n"),
    ("a payload", "shell", "a.sh", "if [ a ]; then exec b; fi\nexit 0\n__ARCHIVE__\n\"it's {{ (\n"),
    ("the first part of pages", "html", "theme/header.html", "<html><body><div class='wrap'><p <b>\n"),
    ("a lexer of re2c", "cpp", "a.re", 'int f() {\n/*!re2c\n "${" [^}]* "}" { return 1; }\n "{" { return 2; }\n*/\n'),
    ("block with colon", "php", "a.php", "<?php if (a(b)) : ?>\nit's\n<?php endif; ?>\n<?php X(=)"),
    ("names of methods", "php", "a.php", "<?php function for(int $b): C { return $a ? $b->if(1) : E::if(2); } X(=)"),
    ("blocks in a string", "php", "a.php", "<?php $a = 'if (b): '; // while (c):\nX(=);\n"),
    ("here-documents", "ruby", "a.rb", "a <<~B, <<-'C'\n  d\nB\n e\n  C\nclass << self; end\nf <<G\nit's\nG\n"),
    ("a shift, and one in a comment", "ruby", "a.rb", "# a <<B\nx = y << z\nw = '<<~V'\n"),
    ("a style with links and a note", "scss", "a.scss", "// it's {\n.a { b: url(http://d{); #{$e}: '}' }\n"),
    ("a program of Dart", "dart", "a.dart", "final a = '${b ? '}' : \"{\"}'; var c = r'\\{'; /* /* { */ */\n"),
    ("a contract", "solidity", "a.sol", "contract A { string b = '{'; /* { */ }\n"),
    ("a part of a shader", "glsl", "a.glsl", "#ifdef A\nvoid f() {\n#else\nvoid g() { // it's\n#endif\n}\n"),
    ("prose by the name of a shader", "glsl", "README.vs", "It doesn't need it (see below\nfor a list of {tools}\n"),
    ("a style that is a template", "scss", "a.scss", "{% if a %}\n.b {\n{% else %}\n.c {\n{% endif %}\n}\n"),
    ("a last statement that is too new", "ruby", "a.rb", "class A\n  def b = 1\nend\nprivate def a(b) = c b\n"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "path", "text"), [pytest.param(*case[1:], id=case[0]) for case in FINE])
def test_what_a_newer_compiler_or_a_macro_makes_right_is_no_error(
    language: str, path: str, text: str
) -> None:
    found = check_syntax(text, language, path)
    assert found.verdict != "error", found
    assert "python2" not in found.tags


TORN = [
    ("a new function that is cut", "python", "a.py", "def first[T](items: list[T]) -> T:\n    return items[0\n"),
    ("a new function indented wrongly", "python", "a.py", "def a[T](x):\n    b\n      c\n"),
    ("an f-string that is cut", "python", "a.py", "a = f'{b['c']}\n"),
    ("a page of MJML that is cut", "xml", "a.mjml", "<mjml><mj-raw><div><p></mj-raw>\n</mjm"),
    ("a test of PHP that is cut", "php", "a.phpt", "--TEST--\na\n--FILE--\n<?php\nfunction f() {\n--EXPECT--\n}\n"),
    ("a page that is cut in its head", "html", "a.html", "<html><head><title>a</title><p <b>\n"),
    ("a value a line, the last one cut", "json", "a.json", '{"a": 1}\n{"b": [2}\n'),
    ("keys without quotes, and cut", "json", "a.json", "{a: [{b: 'c'},\n"),
    ("words that are no values", "json", "a.json", "{a: b, c: 1}\n"),
    ("a key in a list", "json", "a.json", '{"a": ["b": 1]}\n'),
    ("comments in JSON that is cut", "json", "a.json", '{\n  // why\n  "a": [1,\n'),
    ("an inline table that is cut", "toml", "a.toml", "a = {\n  b = 1,\n"),
    ("two commas in one", "toml", "a.toml", "a = { b = 1,, }\n"),
    ("a fragment that is cut", "xml", "a.xml", "<a/>\n<b>c\n"),
    ("macros that are cut", "cpp", "a.cpp", 'SUPPRESS("-Wx")\nTEST_CASE("adds") { CHECK(1 + 1 == 2);\n'),
    ("a macro before a block of its own", "cpp", "a.cpp", "TEST_CASE(adds)\n{\n X(=)\n}\n}\n"),
    ("a macro alone, but more ends", "cpp", "a.cpp", "LOCAL_STRUCT( Item )\n  int a;\n};\n}\nX(=)\n"),
    ("a macro that is whole", "c", "a.c", "#define A(b) { b; }\nvoid f(void) { A(c) X(=)\n"),
    ("unpacking that is cut", "python", "a.py", "a = [*b for b in c\n"),
    ("two halves", "go", "a.go", "package a\n\nfunc f() {\n\ta()\n\treturn b }\n\treturn c\n}\n"),
    ("a header that ends in its guard", "c", "a.h", "#ifndef A\n#define A\nint a(void) {{ STRANGE TEXT\n"),
    ("a comment that never ends", "java", "a.java", "class A { int a; }\n/* and then\nclass B {}\n"),
    ("a template that never ends", "typescript", "a.ts", "const a = `b ${c} d\nconst e = 1;\n"),
    ("a conflict in a header", "c", "a.h", "int a;\n<<<<<<< HEAD\nint b;\n=======\nint c;\n>>>>>>> other\n"),
    ("a conflict", "java", "A.java", "class A {\n<<<<<<< HEAD\n int b;\n=======\n c;\n>>>>>>> d\n}\n" + "//\n" * 999),
    ("bytes that are no text", "go", "a.go", "package a\n\nvar x = 1\n\x01\x02\x8f\ufffd\x03\x04\x81\x05\x06\n"),
    ("a loop of the shell", "shell", "a.sh", "for a in b; do\n  if c; then\n    d\n"),
    ("a page", "html", "a.html", "<html><body><div><p>a</p></div>\n<table><tr><td <b\n"),
    ("some outside of a comment", "c", "a.c", "/* \x01 */\nX(=)\x01\x02\x03\x04\x05\x06\x0e\x0f\n"),
    ("documents of which one is cut", "yaml", "a.yaml", "A: 1\n...\nB: [2\n"),
    ("a tab that indents", "yaml", "a.yaml", "a:\n\tb: 1\n"),
    ("async where no name stands", "python", "a.py", "await = \n"),
    ("a text block that never ends", "java", "A.java", 'class A { String s = """\n abc\n; }\n'),
    ("a raw string that never ends", "csharp", "a.cs", 'class A { string s = """\n abc\n; }\n'),
    ("an interpolated string, and cut", "kotlin", "a.kt", 'val a = "${if (b) "}" else c}"; X(=)\nfun f() {\n'),
    ("a here-document, and cut", "shell", "a.sh", "cat <<A\nit's\nA\nif x; then y <(( ) (\n"),
    ("a page that is no first part", "html", "theme/page.html", "<html><body><div class='wrap'><p <b>\n"),
    ("a method that is cut", "ruby", "a.rb", "class A\n  def b\n    c(1,\n"),
    ("a method without an end", "ruby", "a.rb", "def f\n  if a\n    b\nend\n"),
    ("an if that nothing ends", "php", "a.php", "<?php if ($a): ?>\n<?php for (;;): ?>\n<?php endfor ?>\n"),
    ("a loop that nothing ends", "php", "a.php", "<?php\nforeach (a(1) as $b):\n  c();\n"),
    ("a here-document that nothing ends", "ruby", "a.rb", "def f\n  1\nend\nputs <<EOS\nhello\n"),
    ("the second of two", "ruby", "a.rb", "puts <<-'EOS', <<~A\nhello\nEOS\n  b\n"),
    ("a style that is cut", "scss", "a.scss", ".a { &:b { c: d;\n"),
    ("one of Less", "less", "a.less", ".a() when (b) { .c { d: e }\n"),
    ("a program of Dart that is cut", "dart", "a.dart", "class A {\n  void b() {\n"),
    ("a contract that is cut", "solidity", "a.sol", "contract A { function b() {\n"),
    ("a message that is cut", "protocol-buffer", "a.proto", "message A {\n  string b = 1;\n"),
    ("a list that is cut", "ruby", "a.rb", "x = [1, 2\n"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "path", "text"), [pytest.param(*case[1:], id=case[0]) for case in TORN])
def test_what_is_torn_is_an_error(language: str, path: str, text: str) -> None:
    found = check_syntax(text, language, path)
    assert found.verdict == "error", found
    assert found.detail


def test_a_notebook_is_judged_by_its_cells() -> None:
    """Each is a program of its own: a tutorial shows what does not work. Where most do not parse it is none."""
    cells = [
        "# %%\nimport a\n",
        "# %% [markdown]\n# words\n",
        "# %%\na.b\n",
        "# %%\n    a.c()\n",
        "# %%\na.d()\n",
    ]
    wrong = "# %%\na[(:, 1)]\n"
    found = check_syntax("\n".join([*cells, wrong]), "jupyter-notebook", "a.ipynb")
    assert (found.verdict, found.tags) == ("ok", ("cells",))
    assert check_syntax("\n".join([*cells, *[wrong] * 4]), "jupyter-notebook", "a.ipynb").verdict == "error"


WHOLE = [
    ("c", "char a = '(', *b = \")\"; /* { */ // [\\\n }\n#pragma {\nint c = 1'000'000;"),
    ("cpp", 'auto a = R"x(( "} )x"; auto b = u8R"(})";'),
    ("c", "#if 0\n it's (\n#endif\n"),
    ("csharp", 'var a = @"\\"; var b = """\n{ " }\n"""; var c = $"{d["e"]}"; var e = \'"\';\n#region (\n'),
    ("go", "a() // ends so \\\nif b {\n}"),
    ("go", "var a = `{\\`; b := '{'; c := \"\\\"{\""),
    ("java", 'String a = """\n  { \\" (\n  """; char b = \'"\', c = \'\\\'\';'),
    ("kotlin", 'val a = "${b["c"]}"; /* /* { */ */ val d = """{"""'),
    ("scala", "val a = '''\n  it's {\n  '''\nval b = '\\''; val c = '('"),
    ("rust", "fn a<'b>(c: &'b str) -> char { let d = r#\"{\"\"#; '{' } /* /* { */ */"),
    ("javascript", "if (a(1)) /{/.test(b);\nwhile (c) /[(]/.exec(d);\ne = (f) / 2 + g(h) / i;"),
    ("javascript", "const a = /[/{]/g, b = `{${c ? `}` : '{'}`; return /\\//.test(d) / 2;"),
    ("tsx", "<A b={c => d} {...e} />; <p>it's</p>; const a = b < c / d;"),
    ("css", ".a\\{ { background: url(data:a;b,{) } /* { */"),
    ("scss", "// it's {\n.a { b: url(http://c) }"),
    ("php", "<p>it's (</p><?php $a = <<<X\n  { ' \n  X; # it's {\n$b = '('; ?> }"),
    ("swift", "a.replacing(/[\"(]+/, with: b / c / d)"),
    ("swift", 'let a = #"{"#; /* /* { */ */ let b = "\\(c)"'),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text"), WHOLE)
def test_brackets_in_strings_and_comments_do_not_count(language: str, text: str) -> None:
    assert brackets.balance(text, language).is_whole, brackets.balance(text, language)
    assert "?>" in text or not brackets.balance(text + "\n{", language).is_whole


ANY_CHARACTER = st.sampled_from(list("(){}[]`'\"/*#\\$<>?!=-\nRr@ a0"))


@pytest.mark.slow
@given(st.sampled_from(brackets.LANGUAGES), st.text(alphabet=ANY_CHARACTER, max_size=400))
@settings(max_examples=examples(300), deadline=None)
def test_any_text_has_a_balance(language: str, text: str) -> None:
    found = brackets.balance(text, language)
    assert found.is_whole or str(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "}",
        '"',
        "$",
        "#",
        "/*",
        "'''",
        '"\\',
        '\\"',
        "`${",
        "#if\n",
        'r#"',
        'R"a(',
        "=/[",
        "<<a\n",
        "'",
        '"${',
        '$"{',
        '"\\(',
        "exit 0\n#\n",
        "<!--",
        "<script>",
    ],
)
def test_a_second_opinion_takes_linear_time(piece: str) -> None:
    """What a scanner may stumble over, in every family: with a square the test would not end."""
    text = piece * (100_000 // len(piece))
    for language in brackets.LANGUAGES:
        brackets.balance(text, language)
    for language in ("shell", "html"):
        words.find_cut(text, language)


def test_a_file_cut_inside_a_block_is_found() -> None:
    """Of 100 cuts of a file with strings and comments each is found."""
    text = "".join(f'int f{n}(int a) {{\n  /* {{ {n} */\n  return g("}}", a + {n});\n}}\n' for n in range(50))
    chance = random.Random(0)
    starts = [text.rindex("{\n", 0, chance.randrange(100, len(text))) + 3 for _ in range(100)]
    assert all(check_syntax(text[:start], "c", "a.c").verdict == "error" for start in starts)
