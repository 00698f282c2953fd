"""Fixtures that more than one room uses."""

pytest_plugins = ["tests.cluster.fixtures"]
