"""SPDX expressions: what people write, how it is written here, and what a manifest lets in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.licences import Licences, spdx_list
from daybreak_data.licences.expression import UNKNOWN, families, is_permitted, spdx_of


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MIT", "MIT"),
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("The MIT License", "MIT"),
        ('"MIT"', "MIT"),
        ("MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ("(MIT OR Apache-2.0) AND BSD-3-Clause", "(MIT OR Apache-2.0) AND BSD-3-Clause"),
        ("MIT AND (BSD-2-Clause AND MIT)", "MIT AND BSD-2-Clause"),
        ("((MIT))", "MIT"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("Apache License 2.0", "Apache-2.0"),
        ("The Apache Software License, Version 2.0", UNKNOWN),
        ("Apache Software License", "Apache-2.0"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("GPL-2.0-or-later WITH Nothing-1.0", UNKNOWN),
        ("3-Clause BSD License", "BSD-3-Clause"),
        ("BSD License", UNKNOWN),  # which of them?
        ("LicenseRef-Ours", UNKNOWN),
        ("SEE LICENSE IN LICENSE.md", UNKNOWN),
        ("UNLICENSED", UNKNOWN),
        ("Unlicense", "Unlicense"),
        ("MIT OR", UNKNOWN),
        ("OR MIT", UNKNOWN),
        ("(MIT OR ISC", UNKNOWN),
        ("MIT OR ISC)", UNKNOWN),
        ("MIT Apache-2.0", UNKNOWN),
        ("MIT OR Nonsense-1.0", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_what_a_text_means(written: str, meant: str) -> None:
    assert spdx_of(written) == meant


IDS = st.sampled_from(sorted(spdx_list().names))
EXPRESSIONS = st.recursive(
    IDS,
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
        lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_every_expression_is_read_and_written_once(expression: str) -> None:
    written = spdx_of(expression)
    assert written != UNKNOWN
    assert spdx_of(written) == written
    assert families(written) == families(expression)


@given(st.text("()MITOR+. ANDWITH-2", max_size=40))
def test_no_text_is_refused(text: str) -> None:
    meant = spdx_of(text)
    assert meant == UNKNOWN or spdx_of(meant) == meant


@given(EXPRESSIONS, st.sets(IDS, max_size=3))
def test_what_is_denied_is_not_let_in_and_a_choice_saves(expression: str, denied: set[str]) -> None:
    licences = Licences(deny=tuple(sorted(denied)))
    assert is_permitted(f"({expression}) OR MIT", Licences(allow=("MIT",)))
    for one in denied:
        assert not is_permitted(f"({expression}) AND {one}", licences)


@pytest.mark.parametrize(
    ("expression", "allow", "deny", "unknown", "let_in"),
    [
        pytest.param("MIT", (), (), "Keep", True, id="nothing is asked"),
        pytest.param("unknown", (), (), "Keep", True, id="unknown is kept"),
        pytest.param("unknown", (), (), "Drop", False, id="unknown is dropped"),
        pytest.param("unknown", ("MIT",), (), "Keep", True, id="unknown is kept beside a list"),
        pytest.param("MIT", ("MIT",), (), "Drop", True, id="allowed"),
        pytest.param("ISC", ("MIT",), (), "Drop", False, id="not allowed"),
        pytest.param("MIT OR ISC", ("MIT",), (), "Drop", True, id="one of a choice is allowed"),
        pytest.param("MIT AND ISC", ("MIT",), (), "Drop", False, id="not each of a sum is allowed"),
        pytest.param("MIT AND ISC", ("MIT", "ISC"), (), "Drop", True, id="each of a sum is allowed"),
        pytest.param(
            "MIT OR GPL-3.0-only", (), ("GPL-3.0-only",), "Keep", True, id="one of a choice is denied"
        ),
        pytest.param(
            "MIT AND GPL-3.0-only", (), ("GPL-3.0-only",), "Keep", False, id="one of a sum is denied"
        ),
        pytest.param("MIT", ("MIT",), ("MIT",), "Keep", False, id="denied beats allowed"),
        pytest.param("(MIT OR ISC) AND 0BSD", ("ISC", "0BSD"), (), "Keep", True, id="a choice in a sum"),
        pytest.param(
            "GPL-2.0-only WITH Classpath-exception-2.0",
            (),
            ("GPL-2.0-only",),
            "Keep",
            False,
            id="an exception",
        ),
        pytest.param(
            "GPL-3.0-or-later", (), ("GPL-3.0-only",), "Keep", True, id="or later is another identifier"
        ),
    ],
)
def test_what_a_manifest_lets_in(
    expression: str, allow: tuple[str, ...], deny: tuple[str, ...], unknown: str, let_in: bool
) -> None:
    licences = Licences.model_validate({"allow": allow, "deny": deny, "unknown": unknown})
    assert is_permitted(expression, licences) is let_in
