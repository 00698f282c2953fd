"""The rules in their order: which stage decides, and what a document looks like after it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.resources.run import PersonalData
from daybreak_data.rules.document_rules import (
    Drop,
    RuleOptions,
    assess_after_duplicates,
    assess_before_duplicates,
    dialect_of,
)
from daybreak_data.rules.filters import Profile

NOISE = random.Random(1).randbytes(4000)
CODE = "def add(left, right):\n    return left + right\n"
MAIL = "# ask jane.doe@mail-server.org for the key\n"


def options(*languages: str, profile: Profile = "StarCoder2", emails: str = "Redact") -> RuleOptions:
    return RuleOptions(languages, profile, PersonalData.model_validate({"emails": emails}))


@pytest.mark.parametrize(
    ("path", "data", "wanted", "drop"),
    [
        pytest.param(
            "a.py", CODE.encode(), options("python"), None, id="good code in a wanted language goes on"
        ),
        pytest.param("a.py", b"", options(), Drop("ingest", "empty", ""), id="decoding comes first"),
        pytest.param("a.tgz", b"", options(), Drop("ingest", "empty", ""), id="whatever its name"),
        pytest.param(
            "a.jsonl.gz",
            b"\x1f\x8b" + NOISE,
            options(),
            Drop("ingest", "data-set", "rows of a data set: name it as a source of kind jsonl or parquet"),
            id="rows have a source of their own",
        ),
        pytest.param(
            "A.ZIP",
            b"PK\3\4" + NOISE,
            options(),
            Drop("ingest", "archive", "files in an archive: name it as a source of kind archives"),
            id="archives have a source of their own",
        ),
        pytest.param(
            "a.py",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            options(),
            Drop("ingest", "git-lfs-pointer", "the content lies outside the repository"),
            id="a pointer is no document",
        ),
        pytest.param(
            "a", b"text", options(), Drop("language", "unknown-language", ""), id="then the language"
        ),
        pytest.param(
            "a.go", b"x" * 2000, options("python"), Drop("language", "other-language", "go"), id="not wanted"
        ),
        pytest.param(
            "node_modules/a.py",
            b"x" * 2000,
            options(),
            Drop("filter", "long-line", "a line of 2000 characters, at most 1000"),
            id="then the filters",
        ),
        pytest.param(
            "node_modules/a.py",
            CODE.encode(),
            options(),
            Drop("generated", "generated", "node-modules"),
            id="generated last",
        ),
        pytest.param(
            "node_modules/a.py",
            b"x" * 2000,
            options(profile="None"),
            None,
            id="the profile None asks neither",
        ),
        pytest.param(
            "a.tsx", b"const a = <b/>;\n", options("typescript"), None, id="a dialect comes with its language"
        ),
    ],
)
def test_the_first_stage_that_objects_decides(
    path: str, data: bytes, wanted: RuleOptions, drop: Drop | None
) -> None:
    assert assess_before_duplicates(path, data, wanted).drop == drop


def test_what_goes_on_has_its_text_encoding_and_language() -> None:
    found = assess_before_duplicates("a.tsx", "const a = 'é';\n".encode("latin-1"), options())
    assert (found.text, found.encoding, found.language) == ("const a = 'é';\n", "cp1252", "typescript")


@pytest.mark.parametrize(
    ("path", "language", "text"),
    [
        pytest.param(
            "a.tsx", "typescript", "const a = <div style={{ b: 1 }}>c</div>;\n", id="TSX is parsed as TSX"
        ),
        pytest.param(
            "tsconfig.json",
            "json",
            '{ "a": [1,], // why\n "b": 2 }\n',
            id="comments in JSON where they may be",
        ),
        pytest.param("a.py", "python", CODE, id="code without personal data"),
    ],
)
def test_a_dialect_is_judged_by_its_own_grammar(path: str, language: str, text: str) -> None:
    found = assess_after_duplicates(path, text, language, options())
    assert (found.drop, found.text) == (None, text)


def test_a_language_that_a_source_declares_is_believed() -> None:
    assert dialect_of("a.tsx", "x", "javascript") == "javascript"
    assert dialect_of("a.tsx", "x", "typescript") == "tsx"


@pytest.mark.parametrize(
    ("stated", "language"),
    [
        pytest.param("C++", "cpp", id="a data set's own spelling"),
        pytest.param("golang", "go", id="an alias"),
        pytest.param("TSX", "typescript", id="a dialect, with its language"),
        pytest.param("Klingon", "python", id="a language nobody knows counts as not said"),
        pytest.param("", "python", id="nothing said"),
    ],
)
def test_a_data_set_may_say_the_language_of_its_rows(stated: str, language: str) -> None:
    assert assess_before_duplicates("a.py", CODE.encode(), options(), stated).language == language


def test_a_syntax_error_drops_the_file_with_parser_and_line() -> None:
    found = assess_after_duplicates("a.py", "def add(:\n", "python", options())
    assert found.drop == Drop("syntax", "syntax-error", "cpython: line 1: invalid syntax")


@pytest.mark.parametrize(
    ("emails", "text", "replaced", "drop"),
    [
        pytest.param("Redact", "# ask <EMAIL> for the key\n" + CODE, 1, None, id="redacted"),
        pytest.param("Keep", MAIL + CODE, 0, None, id="kept"),
        pytest.param("Drop", MAIL + CODE, 0, Drop("personal-data", "personal-data", "email"), id="dropped"),
    ],
)
def test_personal_data_is_handled_as_the_manifest_says(
    emails: str, text: str, replaced: int, drop: Drop | None
) -> None:
    found = assess_after_duplicates("a.py", MAIL + CODE, "python", options(emails=emails))
    assert (found.text, found.num_redactions, found.drop) == (text, replaced, drop)
    assert [(finding.kind, finding.value) for finding in found.findings] == [
        ("email", "jane.doe@mail-server.org")
    ]


@pytest.mark.parametrize(
    ("path", "language", "before", "after"),
    [
        pytest.param("a.py", "python", "# {}\nx = 1\n", "# <EMAIL>\nx = 1\n", id="a comment of Python"),
        pytest.param(
            "pom.xml",
            "xml",
            "<project><email>{}</email></project>\n",
            "<project><email>[EMAIL]</email></project>\n",
            id="an element of XML",
        ),
        pytest.param(
            "a.xml", "xml", '<a to="mailto:{}"/>\n', '<a to="mailto:[EMAIL]"/>\n', id="an attribute of XML"
        ),
        pytest.param(
            "a.tsx",
            "typescript",
            "const a = <p>Write to {}</p>;\n",
            "const a = <p>Write to [EMAIL]</p>;\n",
            id="the text of TSX",
        ),
        pytest.param(
            "a.jsx",
            "javascript",
            "const a = <p>Write to {}</p>;\n",
            "const a = <p>Write to [EMAIL]</p>;\n",
            id="the text of JSX",
        ),
        pytest.param(
            "a.html", "html", "<p>Write to {}</p>\n", "<p>Write to [EMAIL]</p>\n", id="the text of a page"
        ),
        pytest.param(
            "a.vue",
            "vue",
            "<template><p>{}</p></template>\n",
            "<template><p>[EMAIL]</p></template>\n",
            id="the text of a component",
        ),
        pytest.param("a.yaml", "yaml", "mail: {}\n", "mail: <EMAIL>\n", id="a value of YAML"),
        pytest.param("a.json", "json", '{"mail": "MAIL"}\n', '{"mail": "<EMAIL>"}\n', id="a value of JSON"),
        pytest.param("a.sh", "shell", "mail -s hi {}\n", "mail -s hi [EMAIL]\n", id="an argument in a shell"),
    ],
)
def test_a_stand_in_is_no_syntax_of_the_language(path: str, language: str, before: str, after: str) -> None:
    text = before.replace("{}", "ada.muster@acme.de").replace("MAIL", "ada.muster@acme.de")
    found = assess_after_duplicates(path, text, language, options())
    assert (found.text, found.drop) == (after, None)


@pytest.mark.slow
@given(st.binary(max_size=400), st.sampled_from(["a.py", "a.js", "a.json", "a.h", "a.html", "a", "a.yml"]))
@settings(deadline=None)
def test_no_bytes_raise_on_the_whole_way(data: bytes, path: str) -> None:
    before = assess_before_duplicates(path, data, options())
    if before.drop is None:
        after = assess_after_duplicates(path, before.text, before.language, options())
        assert after.drop is None or after.drop.reason
