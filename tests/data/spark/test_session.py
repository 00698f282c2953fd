"""The Spark session: how large, what its failures mean, and that it leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daybreak_contracts.errors import ArtifactError, TransientError
from daybreak_data.spark.session import (
    JobError,
    StageTally,
    driver_memory_mb,
    explain,
    open_session,
    settings,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GIB = 1 << 30


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        pytest.param(2 * GIB, 1024, id="a-small-machine-gives-one-gigabyte"),
        pytest.param(8 * GIB, 2048, id="a-quarter"),
        pytest.param(512 * GIB, 4096, id="never-more-than-four"),
    ],
)
def test_memory_of_the_driver(machine: int, expected: int) -> None:
    assert driver_memory_mb(machine) == expected


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        pytest.param(
            "Traceback ...\ndaybreak_contracts.errors.TransientError: s3://a/b: slow down\n\nat java...",
            TransientError,
            "s3://a/b: slow down",
            id="an-error-of-ours-comes-back-as-itself",
        ),
        pytest.param(
            "daybreak_contracts.errors.ArtifactError: x: torn", ArtifactError, "x: torn", id="a-torn-artifact"
        ),
        pytest.param(
            "OSError: [Errno 28] No space left on device", TransientError, "no space left", id="a-full-disk"
        ),
        pytest.param(
            "java.io.IOException: No space left on device", TransientError, "no space left", id="full-in-java"
        ),
        pytest.param("ZeroDivisionError: division by zero", JobError, "ZeroDivision", id="a-bug"),
    ],
)
def test_what_a_failed_job_means(text: str, kind: type[Exception], message: str) -> None:
    error = explain(text)
    assert type(error) is kind
    assert message in str(error)


def test_only_the_loopback_is_bound(tmp_path: Path) -> None:
    conf = settings("x", 3, tmp_path, 1024)
    assert conf["spark.master"] == "local[3]"
    assert {conf["spark.driver.host"], conf["spark.driver.bindAddress"]} == {"127.0.0.1"}
    assert conf["spark.ui.enabled"] == "false"


def test_an_open_session_is_used_again(spark: SparkSession, tmp_path: Path) -> None:
    with open_session("again", 1, str(tmp_path)) as session:
        assert session is spark
    assert spark.range(3).count() == 3
    assert list(tmp_path.iterdir()) == []


TWICE = """
import json, os, signal, sys
from pathlib import Path
from daybreak_data.spark.session import open_session

def java():
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().rpartition(")")
        except OSError:
            continue
        if name.endswith("(java") and int(rest.split()[1]) == os.getpid() and rest.split()[0] != "Z":
            found.append(status.parent.name)
    return len(found)

before = dict(os.environ), signal.getsignal(signal.SIGINT)
seen = []
try:
    for cores in (1, 2):
        with open_session("twice", cores, sys.argv[1]) as session:
            seen.append([session.range(4).count(), session.sparkContext.master, java()])
            if cores == 2:
                session.sql("SELECT no_such_column").collect()
except Exception as error:
    seen.append(type(error).__name__)
after = dict(os.environ), signal.getsignal(signal.SIGINT)
print(json.dumps([seen, java(), before == after, os.listdir(sys.argv[1])]))
"""


@pytest.mark.needs("jvm")
@pytest.mark.slow
def test_a_session_leaves_no_process_no_file_and_no_variable_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(tmp_path)], capture_output=True, text=True, timeout=300, check=True
    )
    seen = [[4, "local[1]", 1], [4, "local[2]", 1], "JobError"]
    assert json.loads(done.stdout) == [seen, 0, True, []]
    assert done.stderr == ""


def test_the_tally_of_stages_goes_on_over_their_ends() -> None:
    tally = StageTally()
    assert tally.done_of_total() == (0, 0)
    seen = []
    for active in ({1: (0, 4)}, {1: (3, 4), 2: (0, 2)}, {2: (1, 2)}, {}, {5: (1, 3)}):
        tally.see(active)
        seen.append(tally.done_of_total())
    assert seen == [(0, 4), (3, 6), (5, 6), (6, 6), (7, 9)]
