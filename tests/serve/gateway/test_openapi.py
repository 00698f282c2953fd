"""The gateway against its own OpenAPI document, asked by schemathesis: what it allows is answered as it says."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from daybreak_serve.gateway.openapi import document

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
schema = schemathesis.openapi.from_dict(document())


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_what_the_document_allows_is_answered_as_it_says(case: Any, slow: Any) -> None:
    if isinstance(case.body, dict):
        case.body.pop("temperature", None)  # the echo engine takes its time by it
    case.call_and_validate(base_url=slow.url, checks=CHECKS, timeout=30)


def test_a_gateway_shows_its_document(slow: Any) -> None:
    shown = httpx.get(f"{slow.url}/openapi.json", trust_env=False).json()
    assert shown == document()


@pytest.mark.parametrize(
    "path", ["/v1/fim/completions", "/infill", "/generate", "/v1/responses", "/v1/messages", "/tokenize"]
)
def test_other_dialects_are_named(path: str) -> None:
    assert path in document()["info"]["description"] or path in document()["paths"]
