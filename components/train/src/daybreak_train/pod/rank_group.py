"""torchrun, and a note of how its ranks ended: ``python -m daybreak_train.pod.rank_group NOTE TORCHRUN-ARGUMENTS``.

Owns the one thing that torchrun alone knows and tells only its log: with which exit code the ranks ended that failed
first. A rank that the kernel kills leaves no error of its own, and what the others leave ("Connection reset by peer")
follows from it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from daybreak_contracts import errors


def main(argv: Sequence[str] | None = None) -> int:
    """Run the group to its end; leave rank to exit code in the note when ranks failed."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    note, *arguments = sys.argv[1:] if argv is None else argv
    try:
        run.main(arguments)
    except ChildFailedError as error:
        print(error, file=sys.stderr)
        ends = {rank: failure.exitcode for rank, failure in error.failures.items()}
        temporary = Path(f"{note}.tmp")
        temporary.write_text(json.dumps(ends))
        temporary.replace(note)
        return errors.EXIT_BUG
    return errors.EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
