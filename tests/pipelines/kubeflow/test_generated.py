"""Committed files that are computed from code are what the code computes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml

from daybreak_contracts import names
from daybreak_pipelines import generate
from daybreak_pipelines.kubeflow.definitions import PIPELINES


@pytest.mark.slow
def test_every_generated_file_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "daybreak_pipelines.generate", "--check"],
        cwd=generate.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def package(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a golden package: pipeline, and what it asks of Kubernetes."""
    text = (generate.ROOT / generate.COMPILED / f"{name}.yaml").read_text()
    pipeline, platform = yaml.safe_load_all(text)
    return pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


@pytest.mark.parametrize("name", PIPELINES)
def test_a_compiled_pipeline_runs_our_images_and_installs_nothing(name: str) -> None:
    for executor in package(name)[0]["deploymentSpec"]["executors"].values():
        container = executor["container"]
        assert container["image"].startswith("daybreak/")
        assert "pip install" not in " ".join(container["command"])


@pytest.mark.parametrize("name", PIPELINES)
def test_no_step_is_skipped_by_kubeflow(name: str) -> None:
    """A step that is skipped hands nothing to the operator."""
    tasks = package(name)[0]["root"]["dag"]["tasks"]
    assert {task["cachingOptions"].get("enableCache", False) for task in tasks.values()} == {False}


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_is_told_where_its_result_goes(name: str) -> None:
    for task in package(name)[0]["root"]["dag"]["tasks"].values():
        assert task["inputs"]["parameters"]["results_configmap"] == {
            "componentInputParameter": "results_configmap"
        }


@pytest.mark.parametrize("name", PIPELINES)
def test_every_step_has_a_disk_and_the_secret_that_is_named_at_run_time(name: str) -> None:
    pipeline, platform = package(name)
    assert set(platform) == set(pipeline["deploymentSpec"]["executors"])
    for executor in platform.values():
        assert executor["emptyDirMounts"] == [{"mountPath": names.WORK_DIR, "volumeName": "work"}]
        (secret,) = executor["secretAsEnv"]
        assert secret["optional"]
        assert secret["secretNameParameter"] == {"componentInputParameter": "storage_secret"}
        assert "AWS_SECRET_ACCESS_KEY" in {entry["envVar"] for entry in secret["keyToEnv"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", PIPELINES)
def test_a_step_that_reads_an_artifact_is_given_its_digest(name: str) -> None:
    for task in package(name)[0]["root"]["dag"]["tasks"].values():
        inputs = task["inputs"]["parameters"]
        for artifact in ("documents", "model"):
            if "taskOutputParameter" in inputs.get(artifact, {}):
                assert f"{artifact}_digest" in inputs
