"""torchrun, and a note of how its ranks ended: ``python -m daybreak_train.pod.rank_group NOTE TORCHRUN-ARGUMENTS``.

Owns what torchrun alone knows and tells only its log: with which exit code the ranks ended that failed first, and why
none was started. A rank that the kernel kills leaves no error of its own, and what the others leave ("Connection reset
by peer") follows from it; nodes that do not meet have no ranks that could say so.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daybreak_contracts import errors
from daybreak_train import faults


def main(argv: Sequence[str] | None = None) -> int:
    """Run the group to its end; leave rank to exit code in the note when ranks failed."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    note, *arguments = sys.argv[1:] if argv is None else argv
    try:
        with faults.explaining(lambda: faults.FaultScene("torchrun", socket.gethostname(), num_steps=0)):
            try:
                run.main(arguments)
            except ChildFailedError as error:
                print(error, file=sys.stderr)
                _leave(Path(note), {rank: failure.exitcode for rank, failure in error.failures.items()})
                return errors.EXIT_BUG
    except Exception as error:
        _leave(Path(note), {"error": errors.document_of(error)})
        raise
    return errors.EXIT_OK


def _leave(note: Path, said: dict[Any, Any]) -> None:
    temporary = Path(f"{note}.tmp")
    temporary.write_text(json.dumps(said))
    temporary.replace(note)


if __name__ == "__main__":
    sys.exit(main())
