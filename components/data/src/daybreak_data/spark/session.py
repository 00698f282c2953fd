"""One Spark session in this process: local threads unless executors are asked for, Arrow, UTC, quiet, own scratch.

``open_session`` is the only place that starts Spark. Owns no data and no rule of any step.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts.errors import ArtifactError, TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_data.spark import classes, kubernetes
from daybreak_data.spark.java import require_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG_NAME = "spark.log"
NAMELESS = "daybreak"
GIB = 1 << 30
# A quarter of the machine, 1 to 4 GB: the rows live in Python workers, the JVM only shuffles them.
MEMORY_SHARE = 0.25
MEMORY_BOUNDS_BYTES = (1 * GIB, 4 * GIB)
ARROW_RECORDS_PER_BATCH = 1000
ARROW_BYTES_PER_BATCH = 32 << 20  # a thousand documents may have 10 MB each
POLL_S = 0.5
END_S, RECORDED_END_S = 20, 600
"""How long Java may take to end; with classes to write it computes for some 15 s before."""
SIGNS_OF_A_FULL_DISK = (
    "No space left on device",
    "[Errno 28]",
    "[Errno 27]",
    "[Errno 122]",
    "Disk quota exceeded",
)
QUIET_LOG4J = """\
status = error
rootLogger.level = error
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


def num_cores(cores: int) -> int:
    """Return ``cores``, or all that this process may use when it is 0."""
    return cores or len(os.sched_getaffinity(0))


def memory_of_machine() -> int:
    """Return the bytes of memory of the machine, or of the cgroup when that is less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return min(physical, int(Path(name).read_text()))
    return physical


def driver_memory_mb(machine_bytes: int) -> int:
    """Return the JVM's heap in MiB: a quarter of the machine, between 1 and 4 GiB."""
    low, high = MEMORY_BOUNDS_BYTES
    return int(min(max(machine_bytes * MEMORY_SHARE, low), high)) >> 20


def settings(
    name: str, cores: int, scratch: Path, memory_mb: int, *, class_options: Sequence[str] = ()
) -> dict[str, str]:
    """Return the session's configuration; ``cores`` is 1 or more, ``class_options`` are of ``spark.classes``."""
    # Only the first compiler tier: a session lives for minutes, and this halves its start (27 s to 14 s of CPU).
    java_options = (
        f"-Djava.io.tmpdir={scratch}",
        f"-Duser.home={scratch}",  # a pod's user may have no name and no home
        f"-Dlog4j2.configurationFile={scratch / 'log4j2.properties'}",
        "-XX:+UseParallelGC",
        "-XX:TieredStopAtLevel=1",
        *class_options,
    )
    return {
        "spark.app.name": name,
        "spark.master": f"local[{cores}]",
        "spark.driver.memory": f"{memory_mb}m",
        "spark.driver.maxResultSize": "0",  # bounded by the heap; no result of ours grows with the text
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.extraJavaOptions": " ".join(map(_quoted, java_options)),
        "spark.jars.ivy": str(scratch / "ivy"),
        "spark.local.dir": str(scratch),
        "spark.log.level": "ERROR",
        "spark.python.worker.reuse": "true",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.execution.arrow.maxBytesPerBatch": str(ARROW_BYTES_PER_BATCH),
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(ARROW_RECORDS_PER_BATCH),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(max(8, 2 * cores)),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }


def _quoted(option: str) -> str:
    """Return an option as Spark's launcher reads it whole: a folder's name may hold a space."""
    escaped = option.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextlib.contextmanager
def open_session(
    name: str, cores: int, work_dir: str, executors: int = 0, *, record: Path | None = None
) -> Iterator[SparkSession]:
    """Yield a session on ``cores`` local threads (0: all); a session that is open already is used again.

    With ``executors`` in a pod the work is done by so many pods besides (``spark.kubernetes``). With ``record`` Java
    writes the classes that it loaded to this file when the session ends (``spark.classes``).

    No Java 17 is a UserError. What the JVM says goes to ``spark.log`` in its scratch folder.
    """
    from pyspark.sql import SparkSession

    present = SparkSession.getActiveSession()
    if present is not None:
        with _explained():
            yield present
        return
    java = require_java(os.environ)
    Path(work_dir).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spark-", dir=work_dir, ignore_cleanup_errors=True) as folder:
        scratch = Path(folder).absolute()
        (scratch / "log4j2.properties").write_text(QUIET_LOG4J)
        class_options = (
            classes.shared(classes.archive_of(java, Path(sys.prefix)))
            if record is None
            else classes.recorded(record)
        )
        memory_mb = driver_memory_mb(memory_of_machine())
        conf = settings(name, num_cores(cores), scratch, memory_mb, class_options=class_options)
        wanted = kubernetes.executors_from(os.environ, executors)
        if wanted is not None:
            template = scratch / "executor.json"
            template.write_text(json.dumps(kubernetes.pod_template(wanted, str(Path(work_dir).absolute()))))
            conf |= kubernetes.settings(wanted, template)
        end_s = END_S if record is None else RECORDED_END_S
        with _started(conf, str(java.home), scratch, end_s) as session:
            yield session


@contextlib.contextmanager
def _started(conf: Mapping[str, str], java_home: str, scratch: Path, end_s: float) -> Iterator[SparkSession]:
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    log = scratch / LOG_NAME
    spark_conf = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    with _own_interrupts(), _environment(_variables(java_home, scratch)), log.open("wb") as sink:
        try:
            gateway = launch_gateway(  # type: ignore[no-untyped-call]
                spark_conf, popen_kwargs={"stdout": sink, "stderr": sink}
            )
        except PySparkRuntimeError as error:
            said = log.read_text(errors="replace")[-2000:]
            raise UserError(f"Spark's Java process did not start (JAVA_HOME {java_home}): {said}") from error
        try:
            with _explained():
                _name_the_user(gateway)
                context = SparkContext(gateway=gateway, conf=spark_conf)
                context.setLogLevel("ERROR")
                logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # says each error twice
                session = SparkSession(context)
                try:
                    yield session
                finally:
                    session.stop()
        finally:
            _close(gateway, end_s)
            SparkContext._gateway = None  # PySpark keeps the first gateway for ever otherwise
            SparkContext._jvm = None
            SparkContext._active_spark_context = None


def _name_the_user(gateway: Any) -> None:
    """Log a user without a name in as one with a name: a pod may run as any number, and Hadoop refuses those."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        users = gateway.jvm.org.apache.hadoop.security.UserGroupInformation
        users.setLoginUser(users.createRemoteUser(NAMELESS))


@contextlib.contextmanager
def _own_interrupts() -> Iterator[None]:
    """Give Ctrl-C back when the session ends: Spark's handler would ask a JVM that is gone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _close(gateway: Any, end_s: float) -> None:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    with contextlib.suppress(Py4JError, OSError):
        gateway.shutdown()
    gateway.proc.stdin.close()  # the JVM ends when this pipe does
    try:
        gateway.proc.wait(timeout=end_s)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()


def _variables(java_home: str, scratch: Path) -> dict[str, str | None]:
    """Return what Spark's launcher reads from the environment; None takes a variable away."""
    return {
        "JAVA_HOME": java_home,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(scratch),
        "SPARK_HOME": None,
        "SPARK_CONF_DIR": None,
        "PYSPARK_SUBMIT_ARGS": None,
        "PYSPARK_GATEWAY_PORT": None,
        "SPARK_AUTH_SOCKET_TIMEOUT": None,  # these two PySpark sets itself
        "SPARK_BUFFER_SIZE": None,
    }


@contextlib.contextmanager
def _environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    _apply(changes)
    try:
        yield
    finally:
        _apply(before)


def _apply(changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


class StageTally:
    """The tasks of the stages that were seen; a stage that is seen no longer has ended. Pure."""

    def __init__(self) -> None:
        self._tasks: dict[int, int] = {}
        self._active: dict[int, int] = {}

    def see(self, active: Mapping[int, tuple[int, int]]) -> None:
        """Take note of the active stages: number of the stage to its finished tasks and all of them."""
        self._tasks.update({stage: total for stage, (_, total) in active.items()})
        self._active = {stage: done for stage, (done, _) in active.items()}

    def done_of_total(self) -> tuple[int, int]:
        """Return how many tasks are done, of how many that are known so far."""
        done = sum(self._active.get(stage, total) for stage, total in self._tasks.items())
        return done, sum(self._tasks.values())


@contextlib.contextmanager
def watched(session: SparkSession, progress: Progress, activity: str) -> Iterator[None]:
    """Report the finished share of the tasks of all stages that were seen while the body runs."""
    stop, tally = threading.Event(), StageTally()
    tracker = session.sparkContext.statusTracker()

    def poll() -> None:
        while not stop.wait(POLL_S):
            stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
            known = [stage for stage in stages if stage is not None]
            tally.see({stage.stageId: (stage.numCompletedTasks, stage.numTasks) for stage in known})
            progress.report(activity, *tally.done_of_total())

    thread = threading.Thread(target=poll, name="progress", daemon=True)
    progress.report(activity)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class JobError(RuntimeError):
    """A Spark job failed by a bug of ours; holds the whole text, for Spark's own error needs the live JVM."""


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JNetworkError, ConnectionError) as error:
        raise TransientError(
            "Spark's Java process ended in the middle of its work, most likely for want of memory: "
            "free some (or use fewer cores) and run again"
        ) from error
    except (PySparkException, Py4JError) as error:
        if _was_interrupted(error):
            raise KeyboardInterrupt from None
        text = str(error)
        raise explain(text) from None


def _was_interrupted(error: BaseException) -> bool:
    """Tell whether Ctrl-C came first: PySpark, tidying up after it, raises the failure of the cancelled job."""
    before: BaseException | None = error
    while before is not None:
        if isinstance(before, KeyboardInterrupt):
            return True
        before = before.__context__
    return False


def explain(text: str) -> Exception:
    """Return the error that the text of a failed job stands for: ours that a task raised, a full disk, or a bug."""
    ours = re.findall(r"^daybreak_contracts\.errors\.(\w+): (.*)$", text, re.MULTILINE)
    if ours:
        name, message = ours[-1]
        kinds = {"TransientError": TransientError, "ArtifactError": ArtifactError}
        return kinds.get(name, UserError)(message)
    if any(sign in text for sign in SIGNS_OF_A_FULL_DISK):
        return TransientError("no space left on the device (output or work_dir), free some and run again")
    return JobError(text)
