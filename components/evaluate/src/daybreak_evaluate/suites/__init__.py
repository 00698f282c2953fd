"""Suites as plug-ins: what is asked of a model and how its answers are scored.

Owns the list of suites. A new one is a module with a class that keeps ``protocol.SuitePlugin``, and a line here.
"""
