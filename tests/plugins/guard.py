"""Sees every process before a fast test starts it, and refuses Java, a cluster's programs, torchrun and Triton.

Owns the hook and its sentence; `fast.py` tells it which test runs. `nested/sitecustomize.py` sets it in the Python
processes that tests start, so it imports little. A script of such a name, which plays a program, is none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

PROGRAMS = {
    "java": "jvm",
    "etcd": "cluster",
    "kube-apiserver": "cluster",
    "kube-controller-manager": "cluster",
    "kube-scheduler": "cluster",
    "kwok": "cluster",
    "kubelet": "cluster",
    "go": "programs",
    "helm": "programs",
    "promtool": "programs",
    "kubectl": "programs",
    "tritonserver": "triton",
}
MODULES = {"torch.distributed.run": "torchrun", "daybreak_train.pod.rank_group": "torchrun"}
SCRIPTS = {"pyspark/bin/spark-submit": "jvm"}
"""Scripts that start such a program, by the end of their path: what a shell starts is not seen."""
EVENTS = {"subprocess.Popen", "os.posix_spawn", "os.exec"}
NOTES = "DAYBREAK_FAST_TESTS"
"""In the environment of what fast tests start: the file that takes down what was refused."""
ELF = b"\x7fELF"


@dataclass
class Watch:
    """The fast test that runs now, if one does, and what it was refused."""

    test: str | None = None
    refused: list[str] = field(default_factory=list)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Look at a process before it starts; an audit hook."""
        if self.test is None or event not in EVENTS:
            return
        executable, words = arguments[0], arguments[1]
        command = [*words] if isinstance(words, list | tuple) else [words]
        kind = kind_of([executable]) or kind_of(command)
        if kind is not None:
            self.refused.append(sentence(self.test, command, kind))
            raise PermissionError(self.refused[-1])


def kind_of(words: Iterable[object]) -> str | None:
    """Return what a command line starts that fast tests do without."""
    command = [os.fsdecode(word) for word in words if isinstance(word, str | bytes | os.PathLike)]
    for at, word in enumerate(command):
        if at and command[at - 1] == "-m" and word in MODULES:
            return MODULES[word]
        for script, started in SCRIPTS.items():
            if os.path.normpath(word).endswith(f"/{script}"):  # PySpark says pyspark/./bin
                return started
        kind = PROGRAMS.get(word.rpartition("/")[2])
        if kind is not None and (at == 0 or "/" in word) and _is_program(word):
            return kind
    return None


def _is_program(word: str) -> bool:
    for folder in [""] if "/" in word else os.get_exec_path():
        try:
            with open(f"{folder}/{word}" if folder else word, "rb") as file:  # noqa: PTH123
                return file.read(len(ELF)) == ELF
        except OSError:
            continue
    return False


def sentence(test: str, command: list[object], kind: str) -> str:
    """Tell whoever wrote the test what to do."""
    return (
        f"{test} is one of the fast tests, but starts {' '.join(map(str, command))!r}: mark it"
        f" `pytest.mark.needs({kind!r})`, or the fixture that starts it `@starts({kind!r})` (tests/plugins/needs.py)"
    )


def watch_nested(notes: str) -> None:
    """Set the hook in a process that a fast test started; what is refused is taken down for the test."""
    watch = Watch("this test")

    def noted(event: str, arguments: tuple[object, ...]) -> None:
        try:
            watch(event, arguments)
        except PermissionError as problem:
            with open(notes, "a") as file:  # noqa: PTH123
                file.write(f"{problem}\n")
            raise

    sys.addaudithook(noted)
