"""The language of a file by linguist's published rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.languages import spellings
from daybreak_data.rules.languages import detect_language, family_of, key_of
from daybreak_data.rules.patterns import rule_file

C_HEADER = "#ifndef A_H\n#define A_H\nint add(int left, int right);\n#endif\n"
CPP_HEADER = "#pragma once\n#include <vector>\nnamespace a { class B { public:\n int c; }; }\n"
OBJC_HEADER = "#import <Foundation/Foundation.h>\n@interface A : NSObject\n@end\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        pytest.param("a/b.py", "x = 1\n", "python", id="an extension decides"),
        pytest.param("a/b.PY", "x = 1\n", "python", id="in any case of letters"),
        pytest.param("a/b.cc", "int x;\n", "cpp", id="C++ is called cpp as in a manifest"),
        pytest.param("a/b.cs", "using System;\n", "csharp", id="C# is called csharp"),
        pytest.param("a/b.m", "@interface A\n@end\n", "objective-c", id="spaces become dashes"),
        pytest.param("a/b.tsx", "const a = <b/>;\n", "tsx", id="TSX is a dialect of its own"),
        pytest.param("a/b.ts", "const a: number = 1;\n", "typescript", id=".ts is TypeScript"),
        pytest.param(
            "a/b.ts", '<?xml version="1.0"?>\n<TS version="2.0">\n', "xml", id="a Qt translation is not"
        ),
        pytest.param("a/b.h", C_HEADER, "c", id="a header without C++ in it is C"),
        pytest.param("a/b.h", CPP_HEADER, "cpp", id="a header with a namespace is C++"),
        pytest.param("a/b.h", OBJC_HEADER, "objective-c", id="a header with an interface is Objective-C"),
        pytest.param("a/b.h", "// -*- C++ -*-\nint a;\n", "cpp", id="an Emacs modeline decides for a header"),
        pytest.param("b", "#!/usr/bin/env python3\n", "python", id="a shebang through env"),
        pytest.param("b", "#!/usr/bin/env -S A=1 node\n", "javascript", id="a shebang with options of env"),
        pytest.param("b", "#!/bin/bash\necho\n", "shell", id="a shebang with a path"),
        pytest.param("b", "#! /usr/bin/perl -w\n", "perl", id="a shebang with a blank"),
        pytest.param(
            "b", "#!/bin/sh\nexec tclsh $0 $@\n", "tcl", id="a shell that only starts another program"
        ),
        pytest.param("b", "#!\n", None, id="a shebang without a program"),
        pytest.param("Makefile", "all:\n", "makefile", id="a file name decides"),
        pytest.param("a/Dockerfile", "FROM a\n", "dockerfile", id="a file name below a folder"),
        pytest.param("a/tsconfig.json", "{}", "json-with-comments", id="a file name before the extension"),
        pytest.param("a/b", "x\n# vim: set ft=ruby:\n", "ruby", id="a Vim modeline at the end"),
        pytest.param("a/b", "# vim: noai ft=sh\nx\n", "shell", id="a Vim modeline at the front"),
        pytest.param("a/b", "# vim: set ft=ruby\n", None, id="a set without its colon is no modeline"),
        pytest.param(
            "a/b", "-*- mode: python; coding: utf-8 -*-", "python", id="an Emacs modeline with variables"
        ),
        pytest.param("a/b.py", "# -*- coding: utf-8 -*-\n", "python", id="a coding cookie is no mode"),
        pytest.param("a/b.blade.php", "<p>{{ $a }}</p>", "blade", id="the longer of two extensions wins"),
        pytest.param("a/b.php", "<?php echo 1;\n", "php", id="PHP"),
        pytest.param("a/b.php", "<?hh\n", "hack", id="Hack in a file of PHP"),
        pytest.param("a/b.sql", "SELECT 1;\n", "sql", id="plain SQL"),
        pytest.param("a/b.sql", "DECLARE @a INT\nGO\n", "tsql", id="Transact-SQL by a heuristic"),
        pytest.param("a/b.rs", "fn main() {}\n", "rust", id="Rust by a heuristic"),
        pytest.param("a/b.rs", "\n", "rust", id="Rust where no heuristic decides"),
        pytest.param("a/b.cs", "class A {}\n", "csharp", id="C# where no heuristic decides"),
        pytest.param("a/b.md", "# Title\n", "markdown", id="Markdown"),
        pytest.param("a/b.yml", "a: 1\n", "yaml", id="YAML"),
        pytest.param("a/b.json", '{"openapi": "3.0.1"}', "oasv3-json", id="OpenAPI is told apart"),
        pytest.param("a/b.pl", "use strict;\n", "perl", id="Perl"),
        pytest.param("a/b.pl", "a :- b.\n", "prolog", id="Prolog in a file of Perl"),
        pytest.param("a/b.unknownending", "x", None, id="an unknown extension"),
        pytest.param("a/noending", "x", None, id="no extension at all"),
        pytest.param("a/b.inc", "x\n", None, id="several popular languages and no heuristic"),
        pytest.param("a/b.foo", '<?xml version="1.0"?>\n<a/>\n', "xml", id="an XML declaration"),
        pytest.param("C:\\src\\b.py", "x = 1\n", "python", id="a path of Windows"),
        pytest.param("", "", None, id="nothing"),
    ],
)
def test_a_file_has_the_language_that_linguist_names(path: str, text: str, expected: str | None) -> None:
    assert detect_language(path, text) == expected


def test_a_manifest_can_name_every_language_by_each_of_its_names() -> None:
    for name, entry in rule_file("languages.json")["languages"].items():
        assert spellings()[key_of(name)] == family_of(key_of(name))
        assert spellings()[name.lower()] == family_of(key_of(name))
        for alias in entry.get("aliases", ()):
            assert alias.lower() in spellings()


def test_every_language_of_a_manifest_can_be_detected() -> None:
    known = {family_of(key_of(name)) for name in rule_file("languages.json")["languages"]}
    assert set(spellings().values()) == known


@pytest.mark.parametrize(
    ("dialect", "family"),
    [
        ("tsx", "typescript"),
        ("json-with-comments", "json"),
        ("tsql", "sql"),
        ("python", "python"),
        ("perl", "perl"),
    ],
    ids=lambda value: value,
)
def test_a_dialect_is_kept_with_its_language(dialect: str, family: str) -> None:
    assert family_of(dialect) == family


ENDINGS = sorted({end for e in rule_file("heuristics.json")["disambiguations"] for end in e["extensions"]})


@given(
    st.sampled_from(
        ["a", "Makefile", "a.h", "a.txt", "a.b.c", ".x", "a/", "\udcff.py", *("a" + e for e in ENDINGS)]
    ),
    st.text(),
)
def test_any_text_under_any_name_gets_the_same_answer_twice(path: str, text: str) -> None:
    assert detect_language(path, text) == detect_language(path, text)


@pytest.mark.parametrize(
    "line", ["x" * 300_000, "# vim:" + " a" * 200_000, "-*-" + " ;" * 200_000, "1.2.3.4 " * 50_000]
)
@pytest.mark.parametrize("name", ["a.txt", "a.h", "a"])
def test_long_lines_do_not_hold_the_rules_up(name: str, line: str) -> None:
    assert detect_language(name, line) in (None, "text", "c", "hosts-file")
