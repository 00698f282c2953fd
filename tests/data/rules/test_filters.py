"""The filters of StarCoder2 and of OpenCoder: one table a rule, with values on both sides of each threshold."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daybreak_contracts.resources.run import Filters, LanguageFilters
from daybreak_data.rules.filters import FilterDrop, Profile, check_filters, rules_of
from daybreak_data.rules.limits import chosen
from daybreak_data.rules.measures import MeasuredText
from daybreak_data.rules.opencoder import is_drawn

LINE = "value = compute(value)\n"
PAGE = "<html><body><p>" + "words that can be seen " * 10 + "</p></body></html>\n"
BASE64 = base64.b64encode(random.Random(0).randbytes(9000)).decode()
PEM_LINES = "".join(BASE64[place : place + 64] + "\n" for place in range(0, 1984, 64))
WORKFLOW = (
    "name: check\non:\n  push:\njobs:\n  test:\n    steps:\n" + "      - run: make the tests pass\n" * 200
)
HEX = "ab,cd,ef,ba,dc,fe,aa,bb,cc,dd,ee,ff,\n"


def reason(text: str, language: str | None, path: str = "a", profile: Profile = "StarCoder2") -> str | None:
    dropped = check_filters(text, language, path, profile)
    return dropped.reason if dropped else None


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        pytest.param("", "python", "few-letters", id="an empty text has no letters"),
        pytest.param(" \n\n", "python", "few-letters", id="nor has one of blanks"),
        pytest.param(LINE, "python", None, id="one line of code is kept"),
        pytest.param("a;\n" * 100_000, "python", None, id="100,000 lines are kept"),
        pytest.param("a;\n" * 100_001, "python", "too-many-lines", id="one line more is not"),
        pytest.param(LINE * 50 + "a" * 1000 + "\n", "python", None, id="a line of 1,000 characters is kept"),
        pytest.param(LINE * 50 + "a" * 1001 + "\n", "python", "long-line", id="one character more is not"),
        pytest.param("xy " * 400, "markdown", None, id="a long line of Markdown is kept"),
        pytest.param(
            "xy " * 33_334, "markdown", "long-line", id="over 100,000 characters not even of Markdown"
        ),
        pytest.param("xy " * 400 + "\n", "asciidoc", None, id="nor of other prose"),
        pytest.param("xy " * 400 + "\n", "text", None, id="a long line of plain text is kept"),
        pytest.param(("x y " * 25 + "\n") * 5, "go", None, id="a mean of 100 characters is kept"),
        pytest.param(("x y " * 25 + "z\n") * 5, "go", "long-mean-line", id="a mean of 101 is not"),
        pytest.param("a" * 25 + "-+;" * 25, "c", None, id="a quarter of letters is kept"),
        pytest.param("a" * 24 + "-+" * 38, "c", "few-letters", id="less is not"),
        pytest.param("日" * 25 + "-+;" * 25, "c", None, id="letters of every script count"),
        pytest.param("\U0001f600\U0001f601" * 38 + "a" * 24, "c", "few-letters", id="emoji are no letters"),
        pytest.param("1" * 20 + "a" * 10 + "-+" * 35, "webassembly", None, id="digits count in WebAssembly"),
        pytest.param("1" * 20 + "a" * 10 + "-+" * 35, "c", "few-letters", id="and not in C"),
        pytest.param("a: b\n" * 512, "yaml", None, id="512 lines of YAML are kept"),
        pytest.param("a: b\n" * 513, "yaml", "data-file-lines", id="one line more is not"),
        pytest.param("a b\n" * 513, "text", "data-file-lines", id="nor of plain text"),
        pytest.param("a b\n" * 513, "python", None, id="code may be longer"),
        pytest.param('{"a": "b"}' + " " * 40, "json", "few-letters", id="blanks are no letters"),
        pytest.param('{"a": "' + "b" * 41 + '"}', "json", None, id="50 characters of JSON are kept"),
        pytest.param('{"a": "' + "b" * 40 + '"}', "json", "unfit-characters", id="one character less is not"),
        pytest.param("a: bcdefg\n" * 500, "yaml", None, id="5,000 characters of YAML are kept"),
        pytest.param("a: bcdefg\n" * 500 + "#", "yaml", "data-file-size", id="one character more is not"),
        pytest.param(WORKFLOW, "yaml", None, id="6,000 characters of a workflow are written"),
        pytest.param(
            "apiVersion: v1\nkind: List\nitems:\n" + "  - kind: Pod\n    metadata: {name: a}\n" * 200,
            "yaml",
            None,
            id="objects of Kubernetes",
        ),
        pytest.param(
            "- hosts: all\n  tasks:\n" + "    - name: install it\n      package: name=it\n" * 130,
            "yaml",
            None,
            id="a playbook",
        ),
        pytest.param(
            ("# why this is so\n" + "setting: value of it\n" * 9) * 40,
            "yaml",
            None,
            id="settings with comments",
        ),
        pytest.param("replicas: {{ .Values.count }}\n" * 250, "yaml", None, id="a template"),
        pytest.param(WORKFLOW * 19, "yaml", None, id="3,914 lines of it"),
        pytest.param(WORKFLOW * 20, "yaml", "data-file-lines", id="but not more than 4,096"),
        pytest.param(
            "argument_specs:\n  main:\n    options:\n" + "      name:\n        type: str\n" * 300,
            "yaml",
            None,
            id="the arguments of a role",
        ),
        pytest.param(
            "linter:\n  rules:\n" + "    - always_declare_types\n" * 250, "yaml", None, id="rules of a linter"
        ),
        pytest.param(
            ("- case: adds\n  main: |\n    from a import b\n" + "    reveal_type(b)\n" * 9) * 40,
            "yaml",
            None,
            id="tests with programs in them",
        ),
        pytest.param(
            '{\n  "$schema": "http://json-schema.org/draft-07/schema#",\n'
            + '  "title": "The name of it",\n' * 200
            + '  "type": "object"}',
            "json",
            None,
            id="a schema",
        ),
        pytest.param(
            "IF-MIB DEFINITIONS ::= BEGIN\n" + "mib OBJECT IDENTIFIER ::= { a 1 }\n" * 900,
            "text",
            None,
            id="a module of SNMP",
        ),
        pytest.param(
            "#define CHECK(a)" + " " * 72 + "\\\n" + ("  if (!(a)) f(#a);" + " " * 70 + "\\\n") * 20,
            "c",
            None,
            id="a macro with its backslashes in one column",
        ),
        pytest.param(
            "| Alias |" + " " * 90 + "Command |\n" + ("| gst   |" + " " * 85 + "git status |\n") * 20,
            "markdown",
            None,
            id="a table in columns",
        ),
        pytest.param(
            ("%%" + "=" * 68 + "\n%% API\n%%" + "=" * 68 + "\nstart() -> ok.\n") * 3,
            "erlang",
            None,
            id="banners of a skeleton",
        ),
        pytest.param(
            "services:\n" + ("    a.b:\n        class: A\\B\n        arguments: ['@c']\n") * 130,
            "yaml",
            None,
            id="services of Symfony",
        ),
        pytest.param(
            "title: A\nform:\n  fields:\n" + "    a:\n      type: text\n" * 260, "yaml", None, id="a form"
        ),
        pytest.param("0.12,  0.5,\n" * 100 + "data\n", "c", "few-letters", id="a table of numbers is data"),
        pytest.param(
            "- name: apple\n  colour: red\n  price: 12\n" * 150,
            "yaml",
            "data-file-size",
            id="records are data",
        ),
        pytest.param(
            '{"a": "' + "word " * 1200 + '"}', "json", "data-file-size", id="so is JSON of 6,000 characters"
        ),
        pytest.param(' <?xml version="1.0"?>\n<a/>\n', "python", "xml-in-disguise", id="XML called Python"),
        pytest.param('a = `<?xml version="1.0"?>`\n' + LINE * 9, "javascript", None, id="XML in a string"),
        pytest.param('<?xml version="1.0"?>\n' + LINE * 9, "twig", None, id="a template of XML"),
        pytest.param('<?xml version="1.0"?>\n<a/>\n', "xml", None, id="XML called XML"),
        pytest.param('<?xml version="1.0"?>\n' + PAGE, "html", None, id="XHTML"),
        pytest.param(LINE * 9 + '<?xml version="1.0"?>\n', "python", None, id="XML after 100 characters"),
        pytest.param(
            LINE * 200 + BASE64[:996] + "\n", "python", None, id="a run of 996 characters in base64"
        ),
        pytest.param(LINE * 200 + PEM_LINES, "python", "encoded-data", id="a run of 2,000 with lines"),
        pytest.param(LINE * 2000 + PEM_LINES, "python", None, id="one block in a long test"),
        pytest.param(
            LINE * 9000 + BASE64[:9000] + "\n", "python", "long-line", id="a long line is one in any file"
        ),
        pytest.param(
            LINE * 9000 + "".join(BASE64[p : p + 76] + "\n" for p in range(0, 9000, 76)),
            "python",
            "encoded-data",
            id="9,000 characters are too many in any file",
        ),
        pytest.param(
            (LINE + "/" * 78 + "\n// names of the fruits\n") * 20, "cpp", None, id="banners of slashes"
        ),
        pytest.param(
            (LINE * 3 + "=" * 78 + "\nnames of the fruits\n" + "=" * 78 + "\n") * 20,
            "python",
            None,
            id="of equals signs",
        ),
        pytest.param("apple\nbanana\ncherry\nWindow2\n" * 100, "text", None, id="a list of words"),
        pytest.param(
            "/src/main/java/org/acme/planets/Mercury\n" * 40, "ignore-list", None, id="a list of paths"
        ),
        pytest.param(
            "WindowsFoundationCollectionsObservableVectorOfReferencesToTheWholeWideWorld\n" * 20,
            "text",
            None,
            id="long names",
        ),
        pytest.param(
            "5d41402abc4b2a76b9719d911017c592aabbccdd\n" * 30, "text", "encoded-data", id="a list of digests"
        ),
        pytest.param(
            LINE + 'P = "' + "\\\n".join(["d41d8cd98f00b204e9800998ecf8427e" * 2] * 6) + '"\n' + LINE * 60,
            "c",
            None,
            id="a long constant of a cipher",
        ),
        pytest.param(
            LINE * 60 + 'const M: &str = "M12.5 3.2L40.1 8Z' + "l3.1 4.2c1.5 0 2.7 1.2 2.7 2.7" * 9 + '";\n',
            "rust",
            None,
            id="a path of SVG in code",
        ),
        pytest.param(HEX + "name = data\n", "c", "encoded-data", id="over half in hexadecimal bytes"),
        pytest.param(HEX + "name = data of a table\n" * 3, "c", None, id="less than half"),
        pytest.param(
            ("a = '" + "\\u65e5" * 12 + "'\n") * 3, "javascript", "encoded-data", id="escapes of Unicode"
        ),
        pytest.param(PAGE, "html", None, id="a page with words"),
        pytest.param("<p>short words</p>", "html", "little-visible-text", id="a page of eleven characters"),
        pytest.param(PAGE + "<!-- hidden -->" * 200, "html", "little-visible-text", id="a page of comments"),
        pytest.param(
            PAGE + "<script>let a = 1;</script>" * 99, "html", "little-visible-text", id="a page of scripts"
        ),
        pytest.param("\ud800" + LINE, "python", None, id="a lone surrogate is survived"),
    ],
)
def test_starcoder2_drops_a_text_for_its_reason(text: str, language: str, expected: str | None) -> None:
    assert reason(text, language) == expected


def test_settings_in_json_are_known_by_their_names() -> None:
    text = '{"scripts": {' + ", ".join(f'"run{n}": "node it.js"' for n in range(250)) + "}}"
    assert reason(text, "json", "app/package.json") is None
    assert reason(text, "json", "app/records.json") == "data-file-size"


BODY = "".join(
    f"    if {name} > limit:\n        total += {name} * weight_of_{name}\n    else:\n        report({name})\n"
    for name in ("apple", "banana", "cherry", "date", "elderberry", "fig", "grape")
)
GOOD = "import os\n\n\ndef add_all_fruits(limit, total):\n" + BODY + "    return total * len(os.environ)\n"


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        pytest.param(GOOD, "python", None, id="a program with logic is kept"),
        pytest.param(LINE * 3, "python", "unfit-size", id="three lines are too few"),
        pytest.param("x" * 49, "python", "unfit-size", id="49 characters are too few"),
        pytest.param("a b c d\n" * 20, "python", "unlikely-words", id="words of one letter"),
        pytest.param("abcdefgh = 123456789\n" * 10, "c", "not-mostly-letters", id="digits"),
        pytest.param(
            "abcd efgh\n" + " " * 12 + "\n" + ("abcd efgh" + " " * 20 + "\n") * 30,
            "c",
            "mostly-white-or-broken",
            id="blanks",
        ),
        pytest.param(GOOD + "\ufffd" * 20, "python", "mostly-white-or-broken", id="replacement characters"),
        pytest.param(
            "# a comment that says a lot of things\n" * 30,
            "python",
            "mostly-comments-or-strings",
            id="comments",
        ),
        pytest.param(GOOD + "# TODO: more\n" * 2, "python", "exercise-or-asserts", id="things left to do"),
        pytest.param(
            "".join(f"import module_{i}\nuse(module_{i} + other)\n" for i in range(15)),
            "python",
            "python-without-substance",
            id="imports",
        ),
        pytest.param(
            "int main() {}\n"
            + "int add(int left, int right) { return left + right; }\n" * 12
            + "int main() {}\n",
            "c",
            "c-without-substance",
            id="two mains",
        ),
        pytest.param(GOOD * 6, "python", "repetition", id="one function six times"),
    ],
)
def test_strict_adds_the_rules_of_opencoder(text: str, language: str, expected: str | None) -> None:
    assert reason(text, language, profile="Strict") == expected
    assert reason(text, language) is None


@pytest.mark.slow
def test_a_go_test_is_kept_or_dropped_by_its_own_digest() -> None:
    texts = [GOOD.replace("fruits", f"fruits_{number}") for number in range(300)]
    dropped = [reason(text, "go", "a_test.go", "Strict") == "go-test" for text in texts]
    assert dropped == [is_drawn(MeasuredText(text, "go", "b_test.go")) for text in texts]
    assert 210 < sum(dropped) < 270
    assert {reason(text, "go", "a.go", "Strict") for text in texts} == {None}


def test_the_profile_none_keeps_everything() -> None:
    assert check_filters("x" * 5000, "python", "a.py", "None") is None
    assert rules_of("None") == ()


SQL = "INSERT INTO t VALUES (1, 'apple');\n"


@pytest.mark.parametrize(
    ("given", "text", "expected"),
    [
        pytest.param({"maxLineLength": 5000}, SQL * 60 + "x y" * 600, None, id="longer lines are taken"),
        pytest.param({"maxLineLength": 20}, SQL, "long-line", id="or shorter ones"),
        pytest.param({"maxLines": 10}, SQL * 11, "too-many-lines", id="lines"),
        pytest.param({"maxMeanLineLength": 30}, SQL, "long-mean-line", id="the mean"),
        pytest.param({"minCharacters": 40}, SQL, "unfit-characters", id="the smallest file"),
        pytest.param({"maxCharacters": 30}, SQL, "unfit-characters", id="the largest file"),
        pytest.param({"minLetters": "0"}, "(1, 2);\n" * 9, None, id="letters"),
        pytest.param({"maxEncodedLength": 9000}, SQL * 900 + PEM_LINES * 3, None, id="encoded data"),
    ],
)
def test_a_manifest_says_other_thresholds_for_one_language(
    given: dict[str, object], text: str, expected: str | None
) -> None:
    filters = Filters.model_validate({"languages": [{"language": "sql", **given}]})
    limits = chosen(filters.languages)
    dropped = check_filters(text, "sql", "a.sql", "StarCoder2", limits)
    assert (dropped.reason if dropped else None) == expected
    assert check_filters(LINE, "python", "a.py", "StarCoder2", limits) is None


def test_a_size_that_a_manifest_names_takes_the_place_of_the_published_one() -> None:
    text = "a: bcdefg\n" * 800
    assert reason(text, "yaml") is not None
    filters = Filters.model_validate(
        {"languages": [{"language": "yaml", "maxLines": 900, "maxCharacters": 9000}]}
    )
    assert check_filters(text, "yaml", "a.yml", "StarCoder2", chosen(filters.languages)) is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        pytest.param(
            {"language": "sql", "minCharacters": 9, "maxCharacters": 3},
            "minCharacters must not exceed maxCharacters, got 9 and 3",
            id="a smallest file above the largest",
        ),
        pytest.param({"language": "sql", "maxLineLenght": 5}, "maxLineLenght", id="a name that nobody knows"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        LanguageFilters.model_validate(given)


def test_reasons_are_told_with_the_value_and_the_limit() -> None:
    assert check_filters("a" * 1200, "c", "a.c", "StarCoder2") == FilterDrop(
        "long-line", "a line of 1200 characters, at most 1000"
    )


def test_every_reason_is_counted_under_its_own_name() -> None:
    reasons = [rule.reason for rule in rules_of("Strict")]
    assert len(reasons) == len(set(reasons))
    assert all(name == name.lower() and " " not in name and "_" not in name for name in reasons)


@given(
    st.text(),
    st.sampled_from(["python", "html", "json", "go", "c", "text", None]),
    st.sampled_from(["StarCoder2", "Strict"]),
)
def test_no_text_raises_and_the_answer_does_not_change(
    text: str, language: str | None, profile: Profile
) -> None:
    assert check_filters(text, language, "a", profile) == check_filters(text, language, "a", profile)
    assert check_filters(text * 40, language, "a", profile) == check_filters(
        text * 40, language, "a", profile
    )


@pytest.mark.parametrize(
    "text", ["<" * 500_000, "<script>" * 60_000, "0x1f," * 100_000, "\n" * 300_000, "é" * 300_000]
)
def test_extreme_texts_do_not_hold_the_filters_up(text: str) -> None:
    assert check_filters(text, "html", "a.html", "Strict") is not None
