"""What goes into a box and what comes out: commands, limits, outcomes.

Owns plain values and their way through JSON; standard library only, because the warden's process imports it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CANDIDATE_OUT, TEST_OUT = "out", "test-out"
"""What was built of the answer, and of a test that the answer must not see."""


class Overrun(StrEnum):
    """Which limit a box passed."""

    NONE = ""
    TIME = "time"
    MEMORY = "memory"
    OUTPUT = "output"
    PROCESSES = "processes"


@dataclass(frozen=True)
class BoxLimits:
    """What the processes of one box may use together, unless a line says each."""

    cpu_s: float
    """Processor time, and time of their own: asleep or working, but not waiting for a core."""
    memory_bytes: int
    """Memory that is really used by all, looked at every few milliseconds; and private data of each."""
    address_bytes: int
    """Address space of each; generous for run times that reserve what they never touch."""
    processes: int
    """Processes and threads."""
    file_bytes: int = 64 << 20
    """Largest file of each, and all of /tmp."""
    output_bytes: int = 16 << 20
    """Standard output and error together; a box that says more is ended."""


@dataclass(frozen=True)
class Box:
    """One command."""

    argv: tuple[str, ...]
    limits: BoxLimits
    stdin: str = ""
    secret: str = ""
    """Goes to standard input by a pipe that can be read once, instead of ``stdin``."""
    ending: str = ""
    """What only the end of the test knows, and says behind the secret and its line's end."""
    files: tuple[tuple[str, str], ...] = ()
    """Name and text of files that only this box sees, in /job."""
    env: tuple[tuple[str, str], ...] = ()
    writes_code: bool = True
    """It compiles while it runs; what does not may make no memory executable."""
    runs_tmp: bool = True
    """What it wrote to /tmp can be run, or loaded as a library."""
    builds: bool = False
    """It may write /build and /out; other boxes see /out alone, read-only."""
    out: str = CANDIDATE_OUT
    """Which of the job's folders it sees as /out."""


@dataclass(frozen=True)
class BoxStep:
    """One box, or two that talk by a pair of pipes on descriptors 3 (to read) and 4 (to write)."""

    box: Box
    partner: Box | None = None
    """Runs beside the box and ends with it."""
    expected_stdout: str | None = None
    """The step ends the job when the output is another; white space at the ends of lines does not count."""
    may_fail: bool = False
    """Its exit status is not looked at."""


@dataclass(frozen=True)
class Job:
    """Steps that share /out; the first that fails is the last."""

    steps: tuple[BoxStep, ...]
    kept: str = ""
    """Name of what the first ``num_kept`` steps build for the test's side, which is built once for equal names."""
    num_kept: int = 0
    folder_bytes: int = 256 << 20
    """Size of /build and /out together."""


@dataclass(frozen=True)
class StepOutcome:
    """What became of one step."""

    status: int
    """Exit status; minus the signal for a process that was killed."""
    cpu_s: float
    wall_s: float
    overrun: Overrun = Overrun.NONE
    starved: bool = False
    """Only the wall clock said so, on a machine that was busy."""
    stdout: str = ""
    stderr: str = ""
    """Beginning and end where it is long."""
    secret_seen: bool = False
    """The secret, with the ending, stood in its standard output."""
    trouble: str = ""
    """Why the box could not be made: our fault or the machine's."""
    as_expected: bool = True
    partner_status: int | None = None
    partner_overrun: Overrun = Overrun.NONE
    may_fail: bool = False

    @property
    def is_good(self) -> bool:
        """The next step may begin."""
        clean = (
            (self.status == 0 or self.may_fail)
            and not self.trouble
            and not self.overrun
            and not self.partner_overrun
        )
        return clean and self.as_expected


def job_from(document: dict[str, Any]) -> Job:
    """Read a job that came as JSON."""
    return Job(**{**document, "steps": tuple(_step(each) for each in document["steps"])})


def _step(document: dict[str, Any]) -> BoxStep:
    partner = document["partner"]
    return BoxStep(
        _box(document["box"]), partner and _box(partner), document["expected_stdout"], document["may_fail"]
    )


def _box(document: dict[str, Any]) -> Box:
    return Box(
        argv=tuple(document["argv"]),
        limits=BoxLimits(**document["limits"]),
        stdin=document["stdin"],
        secret=document["secret"],
        ending=document["ending"],
        writes_code=document["writes_code"],
        runs_tmp=document["runs_tmp"],
        files=tuple((name, text) for name, text in document["files"]),
        env=tuple((name, value) for name, value in document["env"]),
        builds=document["builds"],
        out=document["out"],
    )


def outcome_from(document: dict[str, Any]) -> StepOutcome:
    """Read an outcome that came as JSON."""
    values = {**document, "overrun": Overrun(document["overrun"])}
    return StepOutcome(**{**values, "partner_overrun": Overrun(document["partner_overrun"])})


def as_document(value: Job | StepOutcome) -> dict[str, Any]:
    """Return a value in JSON's types."""
    return dataclasses.asdict(value)
