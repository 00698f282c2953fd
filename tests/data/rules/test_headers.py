"""The language of a header by the sources of its repository."""

from __future__ import annotations

import pytest

from daybreak_contracts.resources.run import PersonalData
from daybreak_data.rules.document_rules import RuleOptions, assess_before_duplicates
from daybreak_data.rules.headers import header_languages


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param(["a.h", "a.cpp"], {"a.h": "cpp"}, id="C++ alone"),
        pytest.param(["a.h", "a.c"], {}, id="C alone"),
        pytest.param(["a.h"], {}, id="no source at all"),
        pytest.param(["a.h", "a.m", "b.m"], {"a.h": "objective-c"}, id="Objective-C alone"),
        pytest.param(
            ["include/p/a.h", "include/p/b.h", "src/a.cc", "src/b.c"],
            {"include/p/a.h": "cpp"},
            id="the source of the same name decides, wherever it lies",
        ),
        pytest.param(
            ["lib/zlib/z.h", "lib/zlib/in.c", "src/app.h", "src/x.cpp", "src/y.cpp"],
            {"src/app.h": "cpp"},
            id="a library of C inside C++",
        ),
        pytest.param(["a.h", "b.c", "c.cpp"], {}, id="C wins a tie"),
        pytest.param(["a.H", "b.CPP"], {"a.H": "cpp"}, id="in any case of letters"),
        pytest.param(["a.h", "a.c", "a.cpp", "b.cpp"], {"a.h": "cpp"}, id="two of the same name"),
        pytest.param(["h", ".h", "a/b"], {}, id="names without an ending"),
    ],
)
def test_sources_decide_for_a_header(paths: list[str], expected: dict[str, str]) -> None:
    found = header_languages([("r", path) for path in paths])
    assert found == {("r", path): language for path, language in expected.items()}


def test_repositories_are_apart() -> None:
    paths = [("one", "a.h"), ("one", "a.cpp"), ("two", "a.h"), ("two", "a.c")]
    assert header_languages(paths) == {("one", "a.h"): "cpp"}


@pytest.mark.parametrize(
    ("text", "header", "expected"),
    [
        pytest.param("int a(void);\n", "cpp", "cpp", id="a plain header"),
        pytest.param("int a(void);\n", "", "c", id="a plain header of C"),
        pytest.param("#import <A/A.h>\n@interface A : NSObject\n@end\n", "cpp", "objective-c", id="its text decides"),
        pytest.param("namespace a { class B; }\n", "objective-c", "cpp", id="so does a namespace"),
    ],
)  # fmt: skip
def test_a_header_is_read_in_the_language_of_its_repository(text: str, header: str, expected: str) -> None:
    options = RuleOptions((), "None", PersonalData())
    assert assess_before_duplicates("r/a.h", text.encode(), options, header=header).language == expected
