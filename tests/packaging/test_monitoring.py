"""Alerts and dashboard: right for Prometheus, and about metrics that operator and gateway really have."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from daybreak_operator.shell.metrics.prometheus import Metrics, Observations
from daybreak_operator.shell.watches.store import Store
from daybreak_serve.gateway.events.metrics import GatewayMetrics
from tests.packaging import render
from tests.packaging.render import CHART

ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())
PLAYS = Path(__file__).with_name("alerts_test.yaml")
RUNBOOK = render.ROOT / "docs" / "runbooks.md"
OURS = re.compile(r"\b(?:daybreak|gw|suggestions)_[a-z_]+\b")
TARGET_LABELS = {"daybreak_dev_owner"}
"""Given by the PodMonitor."""


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> dict[str, str]:
    shown = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel["targets"]
    }
    return shown | {rule["alert"]: rule["expr"] for rule in rules()}


def metrics() -> set[str]:
    """Names of all series that operator and gateway can have, as Prometheus stores them."""
    operator = Metrics()
    operator.observe(Observations([], lambda: (0, 0.0), lambda: True), Store())
    families = [
        family
        for text in (operator.text(), GatewayMetrics().text())
        for family in text_string_to_metric_families(text.decode())
    ]
    found = set()
    for family in families:
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        found |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    return found


@pytest.mark.needs("programs")
def test_alerts_are_right_for_prometheus() -> None:
    assert f"SUCCESS: {len(rules())} rules found" in render.run("promtool", "check", "rules", str(ALERTS))


@pytest.mark.needs("programs")
def test_alerts_come_when_they_should_and_only_then(tmp_path: Path) -> None:
    for file in (ALERTS, PLAYS):
        shutil.copy(file, tmp_path)
    assert "SUCCESS" in render.run("promtool", "test", "rules", str(tmp_path / PLAYS.name))


def test_every_alert_is_played() -> None:
    plays = yaml.safe_load(PLAYS.read_text())["tests"]
    raised = {case["alertname"] for play in plays for case in play["alert_rule_test"] if case["exp_alerts"]}
    assert raised == {rule["alert"] for rule in rules()}


def test_every_alert_leads_to_its_page_of_the_runbook() -> None:
    headings = {line[3:].lower() for line in RUNBOOK.read_text().splitlines() if line.startswith("## ")}
    links = {rule["alert"]: rule["annotations"]["runbook_url"].rpartition("#") for rule in rules()}
    assert {url.rpartition("/")[2] for url, _, _ in links.values()} == {RUNBOOK.name}
    assert {name: anchor for name, (_, _, anchor) in links.items()} == {name: name.lower() for name in links}
    assert {name.lower() for name in links} == headings


@pytest.mark.needs("programs")
def test_every_panel_asks_what_prometheus_understands(tmp_path: Path) -> None:
    asked = [
        {"record": "asked", "expr": expression.replace("$namespace", ".*"), "labels": {"by": place}}
        for place, expression in expressions().items()
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    assert f"SUCCESS: {len(asked)} rules found" in render.run("promtool", "check", "rules", str(file))


def test_only_metrics_that_exist_are_named() -> None:
    named = {name for expression in expressions().values() for name in OURS.findall(expression)}
    assert len(named) > 20
    assert named - TARGET_LABELS - metrics() == set()


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert [panel["title"] for panel in panels() if not panel["description"]] == []
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.needs("programs")
def test_prometheus_is_given_what_the_rules_file_holds() -> None:
    things = render.chart((), ["monitoring.rules=true", "monitoring.dashboard=true"])
    (rule,) = [thing for thing in things if thing["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())
    (dashboard,) = [thing for thing in things if thing["metadata"]["name"] == "daybreak-dashboard"]
    assert json.loads(dashboard["data"]["daybreak.json"]) == DASHBOARD


@pytest.mark.needs("programs")
def test_monitors_find_the_ports_by_name() -> None:
    things = render.chart((), ["monitoring.podMonitor=true"])
    (deployment,) = [thing for thing in things if thing["kind"] == "Deployment"]
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    monitors = {thing["metadata"]["name"]: thing["spec"] for thing in things if thing["kind"] == "PodMonitor"}
    assert {end["port"] for end in monitors["daybreak-operator"]["podMetricsEndpoints"]} == ports
