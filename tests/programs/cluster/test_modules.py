"""Every program of the cluster's folder can be built by its go.sum, also one that this machine has on its path.

A machine with a `kubectl` never built one, so that it lacked 17 modules there was seen on other machines alone.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.cluster import binaries
from tests.cluster.binaries import MODULES, PROGRAMS

KUBERNETES = [program.package for program in PROGRAMS.values() if program.folder == "kubernetes"]


@pytest.mark.needs("programs")
def test_the_sums_of_kubernetes_hold_what_each_of_its_programs_imports() -> None:
    go = binaries.find("go")
    if go is None:
        pytest.skip("no Go here: programs are built elsewhere")
    variables = {**os.environ, "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    listed = subprocess.run(
        [str(go), "list", "-deps", *KUBERNETES],
        cwd=MODULES / "kubernetes",
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr[-2000:]
    assert "k8s.io/kubectl/pkg/cmd/kustomize" in listed.stdout
