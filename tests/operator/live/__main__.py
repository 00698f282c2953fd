"""The operator as a process of its own that may be killed: ``python -m tests.operator.live CONFIG``.

Real decisions, short times. CONFIG is JSON: kubeconfig, namespace, whether thrifty, and ``dies_after`` writes that
follow a stock-out.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tests.operator.live.hasty import TIMING, decisions
from tests.operator.shell.replica import Replica

KILLED = 137


def die_after(replica: Replica, writes: int) -> None:
    """End the process when so many writes were answered since a stock-out is known, before an answer is looked at."""
    kube, store, left = replica.operator.kube, replica.operator.store, [writes]
    written = kube._write

    def is_stock_out_known() -> bool:
        waiting = [pod for _, pod in list(store.pods()) if not pod["spec"].get("nodeName")]
        return any(store.told_of(pod) for pod in waiting)

    def write(*given: Any) -> dict[str, Any]:
        known = is_stock_out_known()
        answer = written(*given)
        if known:
            left[0] -= 1
            if left[0] <= 0:
                os._exit(KILLED)
        return answer

    kube._write = write  # type: ignore[method-assign]


def main(document: str) -> None:
    """Run until killed."""
    given = json.loads(document)
    deciding = decisions(thrifty=given["thrifty"])
    with Replica(given["kubeconfig"], given["namespace"], deciding, given["me"], TIMING) as replica:
        if given.get("dies_after"):
            die_after(replica, given["dies_after"])
        replica.wait()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
