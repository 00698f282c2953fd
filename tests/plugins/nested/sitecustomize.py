"""Sets the guard of fast tests in Python processes that they start; Python imports this by itself."""

import importlib.util
import os
import sys
from pathlib import Path

if "DAYBREAK_FAST_TESTS" in os.environ:
    found = importlib.util.spec_from_file_location(
        "daybreak_tests_guard", Path(__file__).parents[1] / "guard.py"
    )
    assert found is not None
    assert found.loader is not None
    guard = importlib.util.module_from_spec(found)
    sys.modules[found.name] = guard
    found.loader.exec_module(guard)
    guard.watch_nested(os.environ["DAYBREAK_FAST_TESTS"])
