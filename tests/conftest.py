"""Fixtures that more than one room uses, and what holds for every property test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.cluster.fixtures"]

# A busy machine is slow now and then: how long an example takes is no property of the code.
settings.register_profile("daybreak", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("daybreak")
