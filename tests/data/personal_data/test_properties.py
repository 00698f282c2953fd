"""Properties of finding and redacting that hold for any text."""

from __future__ import annotations

import ast
import random
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.run import PersonalData
from daybreak_data.personal_data import Detection, find_personal_data, must_drop, redact

TOKENS = (
    "jane@acme.io", "a.b@x-y.co.uk", "git@github.com:", "93.184.216.34", "8.8.8.8", "10.0.0.1", "172.16.0.1",
    "2a00:1450::200e", "fd00:da7a::1", "postgres://u:s3cretW9x@", "password = '", "api_key=", "a8F3kd92mfQ0zL8s1Xb7",
    "hunter2!", "ghp_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uVwXy", "-----BEGIN RSA PRIVATE KEY-----\n", "<EMAIL>", "<KEY>",
    "MIIEpAIBAAKCAQEA75sdf7s6df5s7d6f5s7d6f5s7d6f5\n", "-----END RSA PRIVATE KEY-----", "sha1", "version", "host ",
    "'", '"', " ", "\n", "\\n", "@", ".", ":", "/", "=", "-", "_", "x", "é", "数", "\U0001f600", "%3C", "\\u003c", "1",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=25).map("".join)
ANY = st.text(st.characters(), max_size=80) | TEXT
PATH = st.sampled_from(["a.py", ".env", "c.yaml", "package-lock.json"])
HANDLING = st.sampled_from(["Redact", "Keep", "Drop"])
HANDLINGS = st.builds(PersonalData, emails=HANDLING, ip_addresses=HANDLING, keys=HANDLING)
ALL = PersonalData()
REPLACEMENTS = {
    "email": "<EMAIL>",
    "key": "<KEY>",
    "ipAddress": r"(?:172(?:\.[0-9]+){3}|fd00:da7a::[0-9a-f]+)",
}


@given(ANY, PATH)
def test_findings_are_sorted_apart_and_cut_out_exactly(text: str, path: str) -> None:
    findings = find_personal_data(text, path)
    assert all(text[f.start : f.end] == f.value and f.value for f in findings)
    assert all(a.end <= b.start for a, b in pairwise(findings))


@pytest.mark.slow
@given(ANY, PATH, HANDLINGS)
def test_after_redaction_nothing_of_the_kind_is_found(text: str, path: str, handling: PersonalData) -> None:
    redacted = redact(text, find_personal_data(text, path), handling)
    kinds = {f.kind for f in redacted.findings}
    again = [f for f in find_personal_data(redacted.text, path) if f.kind in kinds]
    assert again == []


@given(ANY, HANDLINGS)
def test_redaction_changes_findings_only(text: str, handling: PersonalData) -> None:
    redacted = redact(text, find_personal_data(text, "a.py"), handling)
    position, pattern = 0, ""
    for finding in redacted.findings:
        pattern += re.escape(text[position : finding.start]) + REPLACEMENTS[finding.kind]
        position = finding.end
    assert re.fullmatch(pattern + re.escape(text[position:]), redacted.text)


@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=30))
def test_what_stands_around_it_does_not_move_an_email(before: str, after: str) -> None:
    text = f"{before} <jane@acme.io> {after}"
    start = len(before) + 2
    assert Detection("email", start, start + 12, "email", "jane@acme.io") in find_personal_data(text, "a.py")


def test_the_same_value_has_the_same_replacement_and_another_one_another() -> None:
    text = "a 93.184.216.34 b 93.184.216.35 c 93.184.216.34 d 2a00:1450::1"
    redacted = redact(text, find_personal_data(text, "a.py"), ALL)
    assert redacted.text == "a 172.16.0.1 b 172.16.0.2 c 172.16.0.1 d fd00:da7a::1"


def test_a_replacement_is_never_an_address_that_the_file_uses_itself() -> None:
    text = "own 172.16.0.1, fd00:da7a::1; theirs 93.184.216.34, 2a00:1450::1"
    redacted = redact(text, find_personal_data(text, "a.py"), ALL)
    assert redacted.text == "own 172.16.0.1, fd00:da7a::1; theirs 172.16.0.2, fd00:da7a::2"


@pytest.mark.parametrize(
    ("handling", "expected", "dropped"),
    [
        pytest.param(ALL, "<EMAIL> 172.16.0.1", False, id="redact both"),
        pytest.param(PersonalData(emails="Keep"), "a@acme.io 172.16.0.1", False, id="keep emails"),
        pytest.param(
            PersonalData(ip_addresses="Drop"), "<EMAIL> 93.184.216.34", True, id="drop for addresses"
        ),
        pytest.param(
            PersonalData(keys="Drop"), "<EMAIL> 172.16.0.1", False, id="drop for keys, and there are none"
        ),
    ],
)
def test_each_kind_is_handled_as_asked(handling: PersonalData, expected: str, dropped: bool) -> None:
    text = "a@acme.io 93.184.216.34"
    findings = find_personal_data(text, "a.py")
    assert redact(text, findings, handling).text == expected
    assert must_drop(findings, handling) is dropped


def test_code_still_parses_after_redaction() -> None:
    text = 'HOST = "93.184.216.34"\nMAIL = "a@acme.io"\npassword = \'hunter2!\'\n# by b@acme.io\n'
    redacted = redact(text, find_personal_data(text, "a.py"), ALL)
    assert len(redacted.findings) == 4
    assert len(ast.parse(redacted.text).body) == 3


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(" ", id="spaces"),
        pytest.param("a", id="one word"),
        pytest.param("a@", id="at signs"),
        pytest.param("a@b.cc.", id="addresses without an end"),
        pytest.param("1.2.3.4.", id="numbers without an end"),
        pytest.param("2a00:1:", id="groups without an end"),
        pytest.param("password=" + " " * 30, id="names without a value"),
        pytest.param("password='", id="quotes without an end"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\n", id="heads of keys"),
        pytest.param("https://a:b", id="URLs without an end"),
        pytest.param("eyJ" + "a" * 20 + ".", id="halves of tokens"),
        pytest.param(":AA.dQ~sig=", id="pieces of tokens"),
    ],
)
def test_a_hostile_text_takes_linear_time(unit: str) -> None:
    # Quadratic work on two megabytes takes hours; linear work well under a second.
    text = unit * (2_000_000 // len(unit))
    assert isinstance(find_personal_data(text, ".env"), list)


def test_random_bytes_hold_next_to_nothing() -> None:
    text = random.Random(0).randbytes(2_000_000).decode("latin-1")
    assert len(find_personal_data(text, "a.py")) <= 2
