"""The command ``daybreak replay``: finds the run, asks the train room for the step, prints it or writes its page."""

from __future__ import annotations

import json

from daybreak_contracts import storage
from daybreak_pipelines.local import record
from daybreak_pipelines.report import replay as page_of_step


def replay_step(
    run: str, step: int, *, rank: int | None, recompute: bool, page: str | None, as_json: bool
) -> int:
    """Show one step of a run and return the exit code; ``page`` is a file, empty for the usual place."""
    from daybreak_train.silence import silence_libraries

    silence_libraries()
    from daybreak_train.recompute.locate import find_training
    from daybreak_train.recompute.step import ReplayRequest, run_replay
    from daybreak_train.replay.batch import lines_of

    output = record.find_output(run)
    training = find_training(output, record.find_training_digest(output))
    found = run_replay(training, ReplayRequest(step, rank, recompute))
    described = found.to_json()
    if page is not None:
        curve = [
            (float(entry["step"]), float(entry["loss"]))
            for entry in training.entries.values()
            if entry["loss"] is not None
        ]
        location = page or storage.join(output, f"replay-step-{step}.html")
        storage.write_bytes(location, page_of_step.build(described, curve).encode())
    if as_json:
        print(json.dumps(described, ensure_ascii=False))
    else:
        print("\n".join(lines_of(found)))
        if page is not None:
            print(f"page: {location}")
    return 0
