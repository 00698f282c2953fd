"""``daybreak doctor``: what works is said with its version, what does not with its remedy."""

from __future__ import annotations

import json

from daybreak_pipelines.doctor import LanguageFinding, as_document, as_table

FINDINGS = [
    LanguageFinding("go", True, "in-process", "go1.26.8", ""),
    LanguageFinding("ruby", False, "separate", "", "ruby is not installed; apt-get install ruby"),
]


def test_what_works_comes_first_and_the_rest_with_a_remedy() -> None:
    assert as_table(FINDINGS[::-1], "tier 2").splitlines() == [
        "sandbox: tier 2",
        "go    works  in-process  go1.26.8",
        "ruby  no     ruby is not installed; apt-get install ruby",
    ]


def test_a_program_gets_the_same() -> None:
    document = json.loads(as_document(FINDINGS, "tier 2"))
    assert document["sandbox"] == "tier 2"
    assert [(each["language"], each["works"]) for each in document["runtimes"]] == [
        ("go", True),
        ("ruby", False),
    ]
