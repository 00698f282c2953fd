"""The whole run of first-light: what each step takes, in time and memory, and what a second run takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.row import Row

MANIFEST = Path("manifests/examples/first-light.yaml")
OUTPUT = Path("runs/first-light")


def measure() -> list[Row]:
    """Run first-light from nothing, then again with nothing changed."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    first = _run()
    record = json.loads((OUTPUT / "run.json").read_text())
    second = _run()
    rows = [
        Row("first run", first, "s", "<= 600"),
        Row("second run, nothing changed", second, "s", "<= 30"),
    ]
    for step, seconds in record["seconds"].items():
        peak = record["peak_bytes"].get(step, 0)
        rows.append(
            Row(f"step {step}", seconds, "s", "", note=f"{peak / 1e9:.2f} GB at most" if peak else "")
        )
    return rows


def _run() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "daybreak_pipelines", "run", str(MANIFEST)], check=True)
    return time.monotonic() - began
