"""``python -m daybreak_data executor``: becomes a Spark executor, in a pod that Spark's scheduler made.

Owns the change of process; the command itself is ``spark.kubernetes``'s. Spark's own images do this by a shell script.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

from daybreak_data.spark import kubernetes
from daybreak_data.spark.java import require_java


def become_executor(environ: Mapping[str, str]) -> None:
    """Replace this process by the executor's JVM; returns only by an error."""
    import pyspark

    java = require_java(environ)
    jars = Path(pyspark.__file__).parent / "jars"
    mine = {**environ, "JAVA_HOME": str(java.home), "PYSPARK_PYTHON": sys.executable}
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        mine.setdefault("SPARK_USER", "daybreak")
    command = kubernetes.executor_command(mine, java.binary, jars)
    os.execve(command[0], command, mine)
