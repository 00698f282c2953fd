"""The licence at the head of a file is left out in every style of comment, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.duplicates import licence_header
from daybreak_data.duplicates.licence_header import without_licence_header

NOTICE = [
    "Copyright 2031 The Wherever Authors. All rights reserved.",
    "",
    'Licensed under the Apache License, Version 2.0 (the "License");',
    "you may not use this file except in compliance with the License.",
    "    http://www.apache.org/licenses/LICENSE-2.0",
    "",
    "Unless required by applicable law or agreed to in writing, software",
    'distributed under the License is distributed on an "AS IS" BASIS.',
]
CODE = "first line of code\nsecond = line(of, code)\n"


def lines(mark: str) -> str:
    return "\n".join(f"{mark} {line}".rstrip() for line in NOTICE) + "\n"


def block(opening: str, closing: str, mark: str = "") -> str:
    body = "\n".join(f"{mark}{line}".rstrip() for line in NOTICE)
    return f"{opening}\n{body}\n{closing}\n"


STYLES = {
    "Go": ("go", lines("//"), "package main\n"),
    "Go after a build tag": ("go", "//go:build linux\n\n" + lines("//"), "\npackage main\n"),
    "Java": ("java", block("/*", " */", " * "), "package a.b;\n"),
    "Java after the package": ("java", "package a.b;\n\n" + block("/*", " */", " * "), "class A {}\n"),
    "Rust": ("rust", lines("//!"), "fn main() {}\n"),
    "one line of C": ("c", "/* Copyright (c) 2031 Ada Muster, MIT license */\n", "int x;\n"),
    "C in a guard": ("c", "#ifndef A_H\n#define A_H\n" + block("/*", "*/"), "int x;\n"),
    "C after a pragma": ("c", "#pragma once\n" + lines("//"), "#include <a.h>\n"),
    "C# in a region": ("csharp", "#region License\n" + lines("//") + "#endregion\n", "using System;\n"),
    "Python": ("python", lines("#"), "import os\n"),
    "Python after a shebang": (
        "python",
        "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n" + lines("#"),
        CODE,
    ),
    "Python docstring": ("python", block('"""', '"""'), "import os\n"),
    "shell": ("shell", "#!/bin/sh\n\n" + lines("#"), "set -e\n"),
    "Ruby block": ("ruby", block("=begin", "=end"), "require 'a'\n"),
    "Perl pod": ("perl", block("=pod\n", "\n=cut"), "use strict;\n"),
    "SQL": ("sql", lines("--"), "SELECT 1;\n"),
    "Haskell": ("haskell", block("{-", "-}"), "module A where\n"),
    "Haskell pragma": ("haskell", lines("--"), "{-# LANGUAGE Strict #-}\nmodule A where\n"),
    "Lua": ("lua", block("--[[", "]]"), "local a = 1\n"),
    "OCaml": ("ocaml", block("(*", "*)"), "let a = 1\n"),
    "Pascal": ("pascal", block("{", "}"), "unit A;\n"),
    "Lisp": ("common-lisp", lines(";;;"), "(defun a ())\n"),
    "Racket": ("racket", block("#|", "|#"), "(define a 1)\n"),
    "TeX": ("tex", lines("%"), "\\section{A}\n"),
    "MATLAB": ("matlab", block("%{", "%}"), "a = 1;\n"),
    "Fortran": ("fortran-free-form", lines("!"), "program a\n"),
    "old Fortran": ("fortran", lines("C"), "      PROGRAM A\n"),
    "COBOL": ("cobol", lines("      *"), "       IDENTIFICATION DIVISION.\n"),
    "Visual Basic": ("visual-basic-.net", lines("'"), "Module A\n"),
    "batch": ("batchfile", "@echo off\n" + lines("REM"), "echo a\n"),
    "batch with colons": ("batchfile", lines("::"), "echo a\n"),
    "PowerShell": ("powershell", block("<#", "#>"), "Get-Item a\n"),
    "Vim": ("vim-script", lines('"'), "set nocompatible\n"),
    "m4": ("m4", lines("dnl"), "AC_INIT\n"),
    "roff": ("roff", lines('.\\"'), ".TH A 1\n"),
    "Texinfo": ("texinfo", lines("@c"), "@node Top\n"),
    "CMake": ("cmake", block("#[[", "]]"), "project(a)\n"),
    "HTML": ("html", "<!DOCTYPE html>\n" + block("<!--", "-->"), "<p>a</p>\n"),
    "XML": ("xml", '<?xml version="1.0"?>\n' + block("<!--", "-->"), "<a/>\n"),
    "JSP": ("java-server-pages", block("<%--", "--%>"), "<p>a</p>\n"),
    "Jinja": ("jinja", block("{#", "#}"), "{{ a }}\n"),
    "a chart's template": ("yaml", block("{{- /*", "*/ -}}"), "kind: A\n"),
    "Razor": ("html+razor", block("@*", "*@"), "<p>a</p>\n"),
    "CSS": ("css", block("/*!", " */", " * "), "a { b: c }\n"),
    "PHP": ("php", "<?php\n" + block("/**", " */", " * "), "namespace A;\n"),
    "JavaScript": ("javascript", "'use strict';\n" + block("/**", " */", " * "), "let a = 1;\n"),
    "YAML": ("yaml", "---\n" + lines("#"), "a: 1\n"),
    "D": ("d", block("/+", "+/"), "module a;\n"),
    "Julia": ("julia", block("#=", "=#"), "a = 1\n"),
    "reStructuredText": ("restructuredtext", ".. " + "\n   ".join(NOTICE) + "\n\n", "Title\n=====\n"),
    "Markdown": ("markdown", block("<!--", "-->"), "# Title\n"),
}


@pytest.mark.parametrize(("language", "header", "code"), STYLES.values(), ids=STYLES)
def test_a_licence_header_is_left_out(language: str, header: str, code: str) -> None:
    left = without_licence_header(header + code + CODE, language)
    assert left.endswith(code.lstrip() + CODE) or left.strip().endswith((code + CODE).strip())
    assert not any(word in left for word in ("Copyright", "License", "compliance", "AS IS"))


KEPT = {
    "no comment": ("python", "import copyright\n# Copyright is a module\n"),
    "a comment on something else": ("python", "# Reads what users wrote.\nimport os\n"),
    "a docstring on something else": ("python", '"""Reads files of users.\n\nSlowly."""\nimport os\n'),
    "a licence further down": ("c", "int x;\n/* Copyright 2031 Ada Muster */\n"),
    "a licence itself": ("text", "\n".join(NOTICE)),
    "a heading": ("markdown", "# License\n\nMIT\n"),
    "a comment without an end": ("c", "/* Copyright 2031 Ada Muster\nint x;\n"),
    "an include": ("c", "#include <licence/copyright.h>\nint x;\n"),
    "a long string": ("python", 'TEXT = """Copyright 2031"""\n'),
    "rights of files": ("python", '"""Sets the permission bits of files."""\nimport os\n'),
    "nothing": ("c", ""),
}


@pytest.mark.parametrize(("language", "text"), KEPT.values(), ids=KEPT)
def test_everything_else_stays(language: str, text: str) -> None:
    assert without_licence_header(text, language) == text


def test_what_a_header_says_beside_the_licence_stays() -> None:
    text = "/*\n * Sorts the rows of a table.\n *\n * Copyright 2031 Ada Muster\n *\n * Stable and slow.\n */\nint x;\n"
    left = without_licence_header(text, "c")
    assert "Sorts the rows" in left
    assert "Stable and slow" in left
    assert "Copyright" not in left


@given(
    st.text("/*#-<!>{}\"'\n aA1(c)opyright", max_size=200),
    st.sampled_from(["", "c", "python", "pascal", "markdown"]),
)
def test_any_text_only_loses(text: str, language: str) -> None:
    rest = iter(text)
    assert all(char in rest for char in without_licence_header(text, language) if char != "\n")
    assert without_licence_header("x = 1\n" + text, "c") == "x = 1\n" + text


_SAID = (
    *(
        "Copyright",
        "©",
        "(C)",
        "2019",
        "SPDX-",
        "all",
        "rights",
        "reserved",
        "public",
        "domain",
        "Unlicense",
        "creative",
    ),
    *(
        "commons",
        "licensed",
        "licence",
        "LICENSE",
        "licen",
        "under",
        "see",
        "the",
        "by",
        "to",
        ":",
        "=",
        "apache",
        "MIT",
    ),
    *(
        "version",
        "v2",
        "agreement",
        "dual",
        "-",
        "permission",
        "is",
        "notice",
        "written",
        "this",
        "may",
        "not",
        "be",
    ),
    *(
        "removed",
        "must",
        "misrepresented",
        "redistribute",
        "warranty",
        "warranties",
        '"as',
        'is"',
        "'as-is'",
        "liable",
    ),
    *(
        "for",
        "liability",
        "merchantability",
        "file",
        "program",
        "part",
        "of",
        "a",
        "free",
        "distributed",
        "subject",
    ),
    *(
        "provided",
        "released",
        "governed",
        "proprietary",
        "confidential",
        "trade",
        "secret",
        "and",
        "property",
    ),
    *("software", "foundation", "ſ", "K", "über", "word", ".", ","),
)


@given(
    st.one_of(
        st.lists(st.sampled_from(_SAID), max_size=12).map(" ".join),
        st.lists(st.sampled_from(_SAID), max_size=6).map("".join),
        st.from_regex(licence_header._SAYS_LICENCE),
    )
)
def test_the_look_for_words_says_what_the_pattern_says(text: str) -> None:
    paragraph = " ".join(text.split())
    says = bool(licence_header._SAYS_LICENCE.search(paragraph))
    assert licence_header.says_licence(paragraph) == says
    assert licence_header._may_say_licence(f"words {paragraph} words") or not says
