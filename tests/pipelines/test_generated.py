"""Committed files that are computed from code are what the code computes."""

from __future__ import annotations

import subprocess
import sys

import yaml

from daybreak_pipelines import generate
from daybreak_pipelines.definitions import PIPELINES


def test_every_generated_file_is_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "daybreak_pipelines.generate", "--check"],
        cwd=generate.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_a_compiled_pipeline_runs_our_images_and_installs_nothing() -> None:
    for name in PIPELINES:
        package = yaml.safe_load((generate.ROOT / generate.COMPILED / f"{name}.yaml").read_text())
        executors = package["deploymentSpec"]["executors"]
        for executor in executors.values():
            container = executor["container"]
            assert container["image"].startswith("daybreak-")
            assert "pip install" not in " ".join(container["command"])


def test_only_the_step_that_looks_at_its_sources_is_never_cached() -> None:
    package = yaml.safe_load((generate.ROOT / generate.COMPILED / "daybreak-data.yaml").read_text())
    tasks = package["root"]["dag"]["tasks"]
    cached = {name: task["cachingOptions"].get("enableCache", False) for name, task in tasks.items()}
    assert cached == {"documents": False, "xray": True, "tokenizer": True, "shards": True}


def test_a_step_that_reads_an_artifact_is_keyed_by_its_digest() -> None:
    for name in PIPELINES:
        package = yaml.safe_load((generate.ROOT / generate.COMPILED / f"{name}.yaml").read_text())
        for task in package["root"]["dag"]["tasks"].values():
            inputs = task["inputs"]["parameters"]
            for artifact in ("documents", "model"):
                if "taskOutputParameter" in inputs.get(artifact, {}):
                    assert f"{artifact}_digest" in inputs
