"""The command line of the data component: one entry per step, each loading its heavy parts only when it runs."""

from __future__ import annotations

import os
import sys

from daybreak_contracts import errors, names, steps
from daybreak_contracts.progress import Progress


def _documents(args: steps.DocumentsArgs, progress: Progress) -> steps.DocumentsResult:
    from daybreak_data.documents.step import run_documents

    return run_documents(args, progress)


def _tokenizer(args: steps.TokenizerArgs, progress: Progress) -> steps.TokenizerResult:
    from daybreak_data.tokenizer.step import run_tokenizer

    return run_tokenizer(args, progress)


def _shards(args: steps.ShardArgs, progress: Progress) -> steps.ShardResult:
    from daybreak_data.shards.step import run_shards

    return run_shards(args, progress)


def _xray(args: steps.XrayArgs, progress: Progress) -> steps.XrayResult:
    from daybreak_data.xray.step import run_xray

    return run_xray(args, progress)


EXECUTOR = "executor"
"""The one argument that Spark gives to the containers it makes."""
STEPS = {
    names.STEP_DOCUMENTS: steps.Step(steps.DocumentsArgs, _documents),
    names.STEP_TOKENIZER: steps.Step(steps.TokenizerArgs, _tokenizer),
    names.STEP_SHARDS: steps.Step(steps.ShardArgs, _shards),
    names.STEP_XRAY: steps.Step(steps.XrayArgs, _xray),
}


def main(argv: list[str]) -> int:
    """Run one step, or become a Spark executor where Spark's scheduler says so."""
    if argv == [EXECUTOR]:
        from daybreak_data.spark.executor import become_executor

        try:
            become_executor(os.environ)
        except errors.DaybreakError as error:
            print(f"executor: {error}", file=sys.stderr)
            return error.exit_code
    return steps.main(STEPS, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
