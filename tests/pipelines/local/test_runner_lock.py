"""Two runs of one output never work at once; a killed one frees its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_pipelines.local.runner import exclusive

pytestmark = pytest.mark.slow

HOLD = """
import sys, time, pathlib
from daybreak_pipelines.local.runner import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another `daybreak run` works here"), exclusive(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with exclusive(tmp_path):
        pass
