"""Run one of our Kubeflow pipelines on this machine by ``kfp.local``: the child of ``daybreak run`` and of ``job``.

``python -m daybreak_pipelines.local.pipeline <pipeline> <parameters.json> <pipeline root>``. Steps report by the
launcher's files; what kfp prints goes wherever this process' output goes (a log file).
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

from daybreak_contracts import launch


def main(argv: list[str]) -> int:
    """Run the pipeline; 0 when every task succeeded, 1 when one failed."""
    name, parameters, root = argv
    launch.watch_launcher(os.environ)
    _be_python3()
    from kfp import local

    from daybreak_pipelines.kubeflow.definitions import PIPELINES

    # kfp warns once a step that our image is not a plain Python one; here the environment is the image.
    warnings.filterwarnings("ignore", message="You may be attemping to run a task", category=RuntimeWarning)
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=root, raise_on_error=True)
    try:
        PIPELINES[name](**json.loads(Path(parameters).read_text()))
    except RuntimeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0


def _be_python3() -> None:
    """Let steps find this Python as ``python3`` on PATH, which is what their commands say.

    kfp would write its path over each "python3" of a command: in a shell's words, where a space divides it, and in
    the arguments, where a folder may have that name.
    """
    folder = Path(sys.executable).parent
    if (folder / "python3").exists():
        os.environ["PATH"] = os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath)))
        sys.executable = "python3"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
