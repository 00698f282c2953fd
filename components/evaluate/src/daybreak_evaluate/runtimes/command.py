"""A runtime made from a declarative file: answers become jobs of boxes, outcomes become verdicts.

Owns the order of phases (compile, run, test) and what an outcome means. Where the test runs in the answer's process,
a verdict needs the secret that the test's own side prints after the last assertion (decision 0095).
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.client import default_workers
from daybreak_evaluate.judge.values import (
    PASSED,
    TIMED_OUT,
    FailureKind,
    SampleVerdict,
    SandboxLimits,
    Tier,
    failed,
)
from daybreak_evaluate.runtimes import definition as definitions
from daybreak_evaluate.runtimes.assembling import cpp, csharp, go, java, javascript, rust, scripted
from daybreak_evaluate.runtimes.assembling.apart import Apart, apart
from daybreak_evaluate.runtimes.assembling.sources import Sources
from daybreak_evaluate.runtimes.boxes.pool import BoxPool, reached_tier
from daybreak_evaluate.runtimes.boxes.values import (
    CANDIDATE_OUT,
    TEST_OUT,
    Box,
    BoxStep,
    Job,
    Overrun,
    StepOutcome,
)
from daybreak_evaluate.runtimes.caches import cache_folder
from daybreak_evaluate.runtimes.definition import LanguageDefinition, Toolchain, ToolMissingError
from daybreak_evaluate.runtimes.protocol import Attempt, Availability, Isolation
from daybreak_evaluate.task import Task

ASSEMBLERS: Mapping[str, Callable[[Task, str, str], Sources]] = {
    "cpp": cpp.assemble,
    "csharp": csharp.assemble,
    "go": go.assemble,
    "java": java.assemble,
    "javascript": javascript.assemble,
    "rust": rust.assemble,
    "typescript": javascript.assemble_typed,
    **scripted.ASSEMBLERS,
}
WHOLE: Mapping[str, Callable[[str], Sources]] = {"cpp": cpp.assemble_whole, "java": java.assemble_whole}
"""Languages whose whole programs are more than one file of a fixed name."""
TESTER_SHARE = 3.0
"""The test's side waits while the answer works, so its own limit is this many times the answer's."""


@dataclass(frozen=True)
class Order:
    """One answer's job and what its outcomes are read with."""

    job: Job
    num_compiling: int
    needs_secret: bool
    num_standing_in: int = 0
    """The first steps compile a test without its answer; where that fails the two have to be one program."""

    def test_is_no_program(self, outcomes: tuple[StepOutcome, ...]) -> bool:
        """Tell whether the test does not compile without its answer, which the answer has no part in."""
        return len(outcomes) <= self.num_standing_in and not outcomes[-1].is_good


class CommandRuntime:
    """One language whose answers run by commands in boxes."""

    def __init__(self, definition: LanguageDefinition) -> None:
        self._definition = definition

    @property
    def language(self) -> str:
        """Name, as a task says it."""
        return self._definition.language

    @property
    def isolation(self) -> Isolation:
        """How test and candidate are kept apart."""
        return self._definition.isolation

    @property
    def stop_words(self) -> tuple[str, ...]:
        """Where an answer ends, for tasks that do not say it."""
        return self._definition.stop_words

    def probe(self) -> Availability:
        """Ask the tools for their versions."""
        return definitions.probe(self._definition)

    def tier(self) -> Tier:
        """Return what boxes reach here."""
        return reached_tier()

    def judge(
        self, attempts: Iterable[Attempt], limits: SandboxLimits, workers: int
    ) -> Iterator[tuple[int, SampleVerdict]]:
        """Yield index and verdict of each attempt, as they are done; every attempt gets one."""
        definition = self._definition
        try:
            tools = definitions.find_toolchain(definition)
        except ToolMissingError as error:
            packages = " ".join(definition.packages)
            raise UserError(
                f"{definition.language} cannot be run here: {error}; apt-get install {packages}"
            ) from error
        cache = cache_folder(definition, tools)
        num_slots = workers or default_workers(limits)
        moved = [(f"{cache}/{name}", place) for place, name in definition.shown.items()]
        if cache:
            moved.append((cache, "/cache"))
        with BoxPool(tools.readable(definition), num_slots, moved) as pool:
            yield from _Judging(definition, tools, limits, pool).judge(enumerate(attempts))


class _Judging:
    """Attempts on their way through one pool."""

    def __init__(
        self, definition: LanguageDefinition, tools: Toolchain, limits: SandboxLimits, pool: BoxPool
    ) -> None:
        self._definition, self._tools, self._limits, self._pool = definition, tools, limits, pool
        self._refused: deque[tuple[int, SampleVerdict]] = deque()
        self._orders: dict[int, tuple[int, Attempt, Order]] = {}
        self._together: set[Task] = set()
        """Tasks whose tests are no programs without an answer."""

    def judge(self, attempts: Iterable[tuple[int, Attempt]]) -> Iterator[tuple[int, SampleVerdict]]:
        again: list[tuple[int, Attempt]] = []
        for place, outcomes in self._pool.run(self._jobs(attempts)):
            index, attempt, order = self._orders.pop(place)
            if order.test_is_no_program(outcomes):
                self._together.add(attempt.task)
                again.append((index, attempt))
            else:
                yield index, verdict_of(outcomes, order, self._definition)
            while self._refused:
                yield self._refused.popleft()
        yield from self._refused
        self._refused.clear()
        if again:
            yield from self.judge(again)

    def _jobs(self, attempts: Iterable[tuple[int, Attempt]]) -> Iterator[Job]:
        place = 0
        for index, attempt in attempts:
            size = len(attempt.completion.encode("utf-8", "surrogatepass"))
            if size > self._limits.source_bytes:
                message = f"the answer has {size} bytes, more than {self._limits.source_bytes} are not run"
                self._refused.append((index, failed(message, FailureKind.TOO_LARGE)))
                continue
            order = order_for(self._definition, self._tools, attempt, self._limits, self._together)
            self._orders[place] = index, attempt, order
            place += 1
            yield order.job


def order_for(
    definition: LanguageDefinition,
    tools: Toolchain,
    attempt: Attempt,
    limits: SandboxLimits,
    together: Collection[Task] = (),
) -> Order:
    """Return the job for an answer; ``together``: tasks whose test and answer are known to be one program."""
    task = attempt.task
    if task.examples:
        return _order_for_examples(definition, tools, attempt, limits)
    both = None if task in together else apart(task, attempt.completion, _token_of(task))
    if both is not None:
        return _order_apart(definition, tools, attempt, limits, both)
    sources = ASSEMBLERS[definition.language](task, attempt.completion, secrets.token_hex(8))
    separate = definition.isolation is Isolation.SEPARATE
    steps = list(_compiling(definition, tools, sources))
    box_limits = definition.run_need.limits(task.timeout_s or limits.timeout_s, limits.memory_bytes)
    environment = tools.environment(definition)
    if separate:
        test_sources = Sources(sources.test)  # its types do not know the answer's
        steps += list(_compiling(definition, tools, test_sources, out=TEST_OUT, may_fail=True))
        tester = definition.run_need.limits(TESTER_SHARE * box_limits.cpu_s, limits.memory_bytes)
        argv = tools.fill(definition.test_argv)
        test = Box(argv, tester, files=sources.test, env=environment, out=TEST_OUT)
        answer = Box(argv, box_limits, files=sources.answer, env=environment)
        steps.append(BoxStep(test, answer))
    else:
        argv = tools.fill(definition.test_argv) + sources.arguments
        secret = secrets.token_hex(16)
        box = Box(
            argv,
            box_limits,
            secret=secret,
            ending=sources.ending,
            env=environment,
            writes_code=definition.writes_code,
            runs_tmp=False,
        )
        steps.append(BoxStep(box))
    return Order(Job(tuple(steps)), len(steps) - 1, not separate)


def _order_apart(
    definition: LanguageDefinition, tools: Toolchain, attempt: Attempt, limits: SandboxLimits, both: Apart
) -> Order:
    """Run a compiled test beside its answer; it says the secret as well, should something of it end too early."""
    testing = list(_compiling(definition, tools, both.test, out=TEST_OUT))
    answering = list(_compiling(definition, tools, both.answer))
    box_limits = definition.run_need.limits(attempt.task.timeout_s or limits.timeout_s, limits.memory_bytes)
    tester = definition.run_need.limits(TESTER_SHARE * box_limits.cpu_s, limits.memory_bytes)
    environment = tools.environment(definition)
    test = Box(
        tools.fill(definition.test_argv),
        tester,
        secret=secrets.token_hex(16),
        ending=both.test.ending,
        env=environment,
        writes_code=definition.writes_code,
        out=TEST_OUT,
    )
    answer = Box(tools.fill(definition.run_argv), box_limits, env=environment)
    steps = (*testing, *answering, BoxStep(test, answer))
    kept = hashlib.sha256(repr(testing).encode("utf-8", "surrogatepass")).hexdigest()
    job = Job(steps, kept, len(testing))
    return Order(job, len(steps) - 1, needs_secret=True, num_standing_in=len(testing))


_OURS = secrets.token_bytes(16)


def _token_of(task: Task) -> str:
    """Return a token that is the same for all answers to a task, whose test is then compiled once."""
    return hashlib.blake2b(repr(task).encode("utf-8", "surrogatepass"), key=_OURS, digest_size=8).hexdigest()


def _order_for_examples(
    definition: LanguageDefinition, tools: Toolchain, attempt: Attempt, limits: SandboxLimits
) -> Order:
    """Run the whole program once for each example; it never sees what it should say."""
    program = attempt.task.program(attempt.completion)
    assemble = WHOLE.get(definition.language)
    sources = assemble(program) if assemble else Sources(((definition.file, program),), stdin=program)
    compiling = list(_compiling(definition, tools, replace(sources, whole=True)))
    box_limits = definition.run_need.limits(attempt.task.timeout_s or limits.timeout_s, limits.memory_bytes)
    run_files = () if definition.compile_argvs else sources.answer
    argv = tools.fill(definition.run_argv) + sources.arguments
    environment = tools.environment(definition)
    runs = [
        BoxStep(Box(argv, box_limits, stdin=each.stdin, files=run_files, env=environment), None, each.stdout)
        for each in attempt.task.examples
    ]
    return Order(Job((*compiling, *runs)), len(compiling), needs_secret=False)


def _compiling(
    definition: LanguageDefinition,
    tools: Toolchain,
    sources: Sources,
    out: str = CANDIDATE_OUT,
    *,
    may_fail: bool = False,
) -> Iterator[BoxStep]:
    box_limits = definition.compile_need.limits(0.0)
    environment = tools.environment(definition)
    for words in definition.compile_argvs if sources.whole else definition.compile_test_argvs:
        argv, stdin, files = tools.fill(words), sources.stdin, sources.answer
        box = Box(argv, box_limits, stdin, files=files, env=environment, builds=True, out=out)
        yield BoxStep(box, may_fail=may_fail)


def verdict_of(
    outcomes: tuple[StepOutcome, ...], order: Order, definition: LanguageDefinition
) -> SampleVerdict:
    """Say what the outcomes of a job's steps mean."""
    last = outcomes[-1]
    cpu_s = sum(each.cpu_s for each in outcomes[order.num_compiling :])
    if len(outcomes) <= order.num_compiling:
        return _with_time(_compile_failure(last), cpu_s)
    if last.is_good and len(outcomes) == len(order.job.steps):
        if order.needs_secret and not last.secret_seen:
            message = "the program ended before its test was over"
            return _with_time(failed(message, FailureKind.ENDED), cpu_s)
        return SampleVerdict(True, PASSED, cpu_s=cpu_s)
    return _with_time(_run_failure(last, definition), cpu_s)


def _with_time(verdict: SampleVerdict, cpu_s: float) -> SampleVerdict:
    return SampleVerdict(verdict.passed, verdict.result, verdict.kind, cpu_s)


_OVERRUNS = {
    Overrun.MEMORY: ("more memory than allowed", FailureKind.MEMORY),
    Overrun.OUTPUT: ("more output than is read", FailureKind.TOO_LARGE),
}


def _compile_failure(outcome: StepOutcome) -> SampleVerdict:
    if outcome.overrun is Overrun.TIME:
        return failed("compiling took too long", FailureKind.TIMEOUT)
    if outcome.overrun:
        message, kind = _OVERRUNS[outcome.overrun]
        return failed(f"compiling took {message}", kind)
    return failed(_said(outcome) or "it does not compile", FailureKind.SYNTAX)


_MEMORY_WORDS = re.compile(
    r"out of memory|OutOfMemory|bad_alloc|heap limit|cannot allocate memory|memory allocation of|not enough memory",
    re.I,
)


def _run_failure(outcome: StepOutcome, definition: LanguageDefinition) -> SampleVerdict:
    overrun = outcome.overrun or outcome.partner_overrun
    if overrun is Overrun.TIME:
        return SampleVerdict(False, TIMED_OUT, FailureKind.TIMEOUT)
    if overrun:
        message, kind = _OVERRUNS[overrun]
        return failed(message, kind)
    said = _said(outcome)
    if outcome.status == 0:
        return failed("its output is another than expected", FailureKind.WRONG)
    if _MEMORY_WORDS.search(said):
        return failed(said, FailureKind.MEMORY)
    if outcome.partner_status is not None and outcome.status in _TESTER_KINDS:
        return failed(said, _TESTER_KINDS[outcome.status])
    if definition.wrong_words and re.search(definition.wrong_words, said):
        return failed(said, FailureKind.WRONG)
    return failed(said or f"exit status {outcome.status}", FailureKind.EXCEPTION)


_TESTER_KINDS = {2: FailureKind.SYNTAX, 3: FailureKind.ENDED, 4: FailureKind.EXCEPTION}
"""Exit statuses of the drivers on the test's side."""


def _said(outcome: StepOutcome) -> str:
    return (outcome.stderr.strip() or outcome.stdout.strip())[:4000]


@functools.cache
def command_runtimes() -> Mapping[str, CommandRuntime]:
    """Return the runtimes of all declarative files, by language."""
    return {name: CommandRuntime(each) for name, each in definitions.definitions().items()}
