"""What holds for all tests: the plugins of `tests/plugins`, and what a property test tries."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# Before numpy is loaded: tests run in as many processes as there are cores, and threads of a few small vectors (the
# fits of scaling laws) only wait for each other: 18.7 s of processor time in place of 6.4.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Collecting makes objects that all live to the end: looking for garbage among them took a quarter of its time.
gc.disable()

pytest_plugins = [
    "tests.plugins.needs",
    "tests.plugins.profiles",
    "tests.plugins.fast",
    "tests.plugins.groups",
    "tests.plugins.again",
    "tests.cluster.fixtures",
    "tests.plugins.builds",
    "tests.plugins.object_storage",
]
collect_ignore = ["bench", "cluster", "plugins"]
"""Programs: their tests stand in `tests/programs`."""

# The same examples every time: a change is judged by what it changed. `HYPOTHESIS_PROFILE=explore` looks for new ones.
# A busy machine is slow now and then: how long an example takes is no property of the code.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("settled", derandomize=True, **PATIENT)
settings.register_profile("explore", **PATIENT)
# `make test-fast`: a quarter of the examples where a property does not say how many it wants.
settings.register_profile("quick", derandomize=True, max_examples=25, **PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "settled"))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look for garbage from now on, and not among what was collected."""
    gc.freeze()
    gc.enable()
