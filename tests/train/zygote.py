"""Starts training processes by fork from one that has imported everything: tests kill many of them.

One JSON object a line: ``{"start": {"argv": [...], "environ": {...}, "stderr": path, "step_s": s}}`` answers
``{"pid": n}``, ``{"wait": pid}`` answers ``{"code": n}`` (negative: killed by that signal). ``step_s`` is the least
time of a step: a fast machine would be done before anyone could kill it in the middle.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
import traceback


def slow_down(step_s: float) -> None:
    """Let every step take that long, by a ledger that is slow to write."""
    from daybreak_train.loop.ledger import Ledger, LedgerEntry

    append = Ledger.append

    def slowly(self: Ledger, entry: LedgerEntry) -> None:
        time.sleep(step_s)
        append(self, entry)

    Ledger.append = slowly  # type: ignore[method-assign]


def child(request: dict[str, object]) -> None:
    log = os.open(str(request["stderr"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request["environ"])  # type: ignore[call-overload]
    code = 1
    try:
        from daybreak_train.__main__ import main

        if request["step_s"]:
            slow_down(float(request["step_s"]))  # type: ignore[arg-type]
        code = main(request["argv"])  # type: ignore[arg-type]
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the server
        traceback.print_exc()
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    # as at the end of an interpreter: threads are joined, then the handlers run
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code)


def serve() -> None:
    import mlflow  # noqa: F401

    import daybreak_train.loop.trainer  # noqa: F401

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(request["start"])
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    os.environ.update(
        {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "TOKENIZERS_PARALLELISM": "false"}
    )
    serve()
