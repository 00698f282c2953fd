"""What a pod of `test_judge` runs: all cheats beside right answers, then one other language; prints JSON."""

from __future__ import annotations

import json
import os
import sys

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program, SandboxLimits
from daybreak_evaluate.runtimes.command import command_runtimes
from daybreak_evaluate.runtimes.protocol import Attempt
from tests.evaluate.judge.test_cheats import CHEATS, HONEST, PROMPT, TEST
from tests.evaluate.runtimes.plays.shell import PLAY

NUM_HONEST = 5


def judged() -> dict[str, object]:
    """Judge all cheats, right answers among them."""
    names = list(CHEATS)
    sources = [CHEATS[name] for name in names] + [HONEST] * NUM_HONEST
    limits = SandboxLimits(timeout_s=1.0, memory_bytes=512 << 20)
    with Judge(limits, workers=3) as judge:
        verdicts = dict(judge.judge([Program(source, "solve", PROMPT, TEST) for source in sources]))
        tier = judge.tier
    return {
        "user": os.getuid(),
        "level": tier.level,
        "tier": str(tier),
        "missing": [name for index, name in enumerate(names) if index not in verdicts],
        "passed": [name for index, name in enumerate(names) if verdicts[index].passed],
        "honest": [verdicts[len(names) + index].result for index in range(NUM_HONEST)],
    }


def shell() -> dict[str, object]:
    """Judge the shell's table, or say why it cannot be judged."""
    answers = {**PLAY.right, **PLAY.cheats}
    attempts = [Attempt(PLAY.task, text) for text in answers.values()]
    try:
        verdicts = dict(command_runtimes()["shell"].judge(attempts, SandboxLimits(timeout_s=2.0), 2))
    except UserError as error:
        return {"refused": str(error)}
    names = list(answers)
    return {"passed": sorted(names[index] for index, verdict in verdicts.items() if verdict.passed)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({"judge": judged(), "shell": shell()}))
