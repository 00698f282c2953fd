"""Argo CD's verdict on our kinds: the scripts, evaluated by Lua 5.1 as Argo CD does, over an object in every state."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import lupa.lua51
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources import ModelDeployment, TrainingRun
from tests.cluster import binaries
from tests.packaging.render import MANIFESTS

HEALTH = MANIFESTS / "argocd" / "health"
MODELS = {"TrainingRun": TrainingRun, "ModelDeployment": ModelDeployment}
VERDICTS = ("Healthy", "Progressing", "Degraded", "Suspended")
READ = {
    "TrainingRun": {"Succeeded", "Stalled", "Suspended"},
    "ModelDeployment": {"Ready", "Stalled", "Suspended"},
}


def health(script: str, thing: dict[str, Any]) -> tuple[str, str]:
    """Run a script with the libraries that Argo CD gives it: none but the basic ones."""
    lua = lupa.lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    lua.execute("io, os, require, loadfile, dofile, debug = nil")
    lua.globals()["obj"] = lua.table_from(thing, recursive=True)
    answer = lua.execute(script)
    return answer["status"], answer["message"]


def cases() -> list[Any]:
    found = []
    for file in sorted(HEALTH.glob("*/health_test.yaml")):
        for case in yaml.safe_load(file.read_text())["tests"]:
            name = f"{file.parent.name} {Path(case['inputPath']).stem}"
            found.append(pytest.param(file.parent, case, id=name))
    return found


def script_of(kind: str) -> str:
    return (HEALTH / kind / "health.lua").read_text()


@pytest.mark.parametrize(("folder", "case"), cases())
def test_a_state_has_its_verdict(folder: Path, case: dict[str, Any]) -> None:
    thing = yaml.safe_load((folder / case["inputPath"]).read_text())
    expected = case["healthStatus"]
    assert health(script_of(folder.name), thing) == (expected["status"], expected["message"])


@pytest.mark.parametrize(("folder", "case"), cases())
def test_the_recorded_objects_are_such_as_the_api_server_stores(folder: Path, case: dict[str, Any]) -> None:
    thing = yaml.safe_load((folder / case["inputPath"]).read_text())
    assert MODELS[folder.name].model_validate(thing).kind == folder.name


@pytest.mark.parametrize("kind", MODELS)
def test_every_recorded_object_and_every_verdict_is_used(kind: str) -> None:
    tests = yaml.safe_load((HEALTH / kind / "health_test.yaml").read_text())["tests"]
    assert {case["inputPath"] for case in tests} == {
        f"testdata/{file.name}" for file in (HEALTH / kind / "testdata").iterdir()
    }
    assert {case["healthStatus"]["status"] for case in tests} == set(VERDICTS)


conditions = st.lists(
    st.builds(
        lambda kind, status: {"type": kind, "status": status, "reason": "R", "message": "m"},
        st.sampled_from(
            ["Ready", "Succeeded", "Stalled", "Suspended", "Reconciling", "Finished", "RolloutHealthy"]
        ),
        st.sampled_from(["True", "False", "Unknown"]),
    ),
    unique_by=lambda condition: condition["type"],
)


class TestAnyConditions:
    @pytest.mark.slow
    @pytest.mark.parametrize("kind", MODELS)
    @given(conditions=conditions)
    def test_only_four_things_are_read(self, kind: str, conditions: list[dict[str, str]]) -> None:
        def verdict(given: list[dict[str, str]]) -> tuple[str, str]:
            status = {"observedGeneration": 1, "conditions": given}
            return health(script_of(kind), {"metadata": {"generation": 1}, "status": status})

        read = [condition for condition in conditions if condition["type"] in READ[kind]]
        assert verdict(conditions) == verdict(read)
        assert verdict(conditions)[0] in VERDICTS

    @pytest.mark.parametrize("kind", MODELS)
    @given(conditions=conditions)
    def test_what_an_older_spec_earned_counts_nothing(
        self, kind: str, conditions: list[dict[str, str]]
    ) -> None:
        status = {"observedGeneration": 1, "conditions": conditions}
        thing = {"metadata": {"generation": 2}, "status": status}
        assert health(script_of(kind), thing) == ("Progressing", "Waiting for the operator")


def test_argo_cds_own_command_line_says_the_same() -> None:
    """Only where it is installed or was built before: that takes as long as a Kubernetes."""
    argocd = binaries.kept("argocd", os.environ)
    if argocd is None:
        pytest.skip("argocd is not on the path and was never built: `make argocd` builds it, once")
    options = ["--argocd-cm-path", str(MANIFESTS / "argocd" / "argocd-cm.yaml")]
    for file in sorted(HEALTH.glob("*/health_test.yaml")):
        for case in yaml.safe_load(file.read_text())["tests"]:
            thing, expected = file.parent / case["inputPath"], case["healthStatus"]
            command = [str(argocd), "admin", "settings", "resource-overrides", "health", str(thing), *options]
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
            assert f"STATUS: {expected['status']}\nMESSAGE: {expected['message']}" in said, thing
