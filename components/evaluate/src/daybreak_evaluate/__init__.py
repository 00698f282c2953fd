"""Suites, generation, a judge that cannot be talked into a pass, and scores."""
