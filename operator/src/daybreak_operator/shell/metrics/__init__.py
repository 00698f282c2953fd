"""Metrics that Prometheus scrapes, and those that gateways and trainers serve."""
