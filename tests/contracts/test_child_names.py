"""Names of children: deterministic, apart from each other, and short enough for pods and labels."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names

DIGEST = "sha256:" + "ab" * 32
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)
LONG = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


ZONE = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?", fullmatch=True)
"""Whatever the value of a node's label may be: OpenStack's zones have capitals, others dots and underscores."""


@pytest.mark.slow
@given(LABEL, LABEL, ZONE)
def test_an_engine_has_a_name_that_pods_can_carry(deployment: str, pool: str, zone: str) -> None:
    name = names.engine_name(deployment, DIGEST, pool, zone)
    assert len(name) <= names.MAX_CHILD_NAME
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", name)


@pytest.mark.slow
@given(LABEL, st.lists(ZONE, min_size=2, max_size=2, unique=True))
def test_two_zones_are_two_names(deployment: str, zones: list[str]) -> None:
    one, other = (names.engine_name(deployment, DIGEST, "pool", zone) for zone in zones)
    assert one != other


def test_a_zone_that_is_a_name_stands_in_it_as_it_is() -> None:
    """A release that names them otherwise would make all engines anew."""
    assert names.engine_name("d", DIGEST, "l4", "eu-1.a") == "d-ababababab-l4-eu-1.a-b21459"
    assert names.engine_name("d", DIGEST, "l4", "PowerKVM_1").startswith("d-ababababab-l4-powerkvm-1-")


def test_a_hyphen_in_the_pool_is_not_one_in_the_zone() -> None:
    one, other = (names.engine_name("d", DIGEST, *place) for place in (("a-b", "c"), ("a", "b-c")))
    assert one != other


def test_a_pipeline_run_keeps_its_id_and_another_attempt_gets_another() -> None:
    first = names.pipeline_run_id("0b5c", names.STAGE_DATA, 1)
    assert first == names.pipeline_run_id("0b5c", names.STAGE_DATA, 1) == "0b5c-data-1"
    assert first != names.pipeline_run_id("0b5c", names.STAGE_DATA, 2)
