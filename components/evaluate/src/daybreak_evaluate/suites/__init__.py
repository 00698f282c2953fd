"""Suites as plug-ins: what is asked of a model and how its answers are scored.

Owns the suites and the names that they are registered by. A suite of one's own is data
(``problem_suite``), or a package that registers one in ``daybreak.suites`` (docs/suites.md).
"""
