"""One program after the other in each sandbox: seconds of every start, and which attempts came through.

Arguments: a JSON file {"plain": source, "samples": count, "attempts": {name: source}, "beside": file} and the name of a
sandbox: none, bubblewrap, sandlock or pyseccomp. An attempt that ends with exit code 0 came through. Prints {"seconds":
[...], "through": [name]}.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyseccomp
import sandlock

TIMEOUT_S = 20.0
FOLDERS = ("/usr", "/lib", "/lib64", "/bin")
PYTHON = "/usr/bin/python3"
KILLED = ("socket", "unshare", "ptrace", "mount", "execve", "execveat", "bpf", "setns")


def interpreter(source: str) -> int:
    return run([PYTHON, "-S", "-c", source])


def bubblewrap(source: str) -> int:
    binds = [part for folder in FOLDERS for part in ("--ro-bind-try", folder, folder)]
    options = ["--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    return run(["bwrap", *binds, *options, PYTHON, "-S", "-c", source])


def in_sandlock(source: str) -> int:
    box = sandlock.Sandbox(fs_readable=[*FOLDERS, "/etc"], max_memory="1G", max_processes=1, clean_env=True)
    done = box.run([PYTHON, "-S", "-c", source], timeout=TIMEOUT_S)
    return 0 if done.success else 1


def in_pyseccomp(source: str) -> int:
    child = os.fork()
    if child == 0:
        devnull = os.open(os.devnull, os.O_RDWR)
        for number in (1, 2):
            os.dup2(devnull, number)
        wanted = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
        for name in KILLED:
            wanted.add_rule(pyseccomp.ERRNO(1), name)
        wanted.load()
        try:
            exec(compile(source, "candidate", "exec"), {"__name__": "__main__"})
        except BaseException:  # noqa: BLE001, whatever a candidate raises ends it
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(command: list[str]) -> int:
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


SANDBOXES = {
    "none": interpreter,
    "bubblewrap": bubblewrap,
    "sandlock": in_sandlock,
    "pyseccomp": in_pyseccomp,
}
given = json.loads(Path(sys.argv[1]).read_text())
start = SANDBOXES[sys.argv[2]]
seconds = []
for _ in range(given["samples"]):
    began = time.perf_counter()
    assert start(given["plain"]) == 0, "a plain program does not run in this sandbox"
    seconds.append(time.perf_counter() - began)
through = []
for name, source in given["attempts"].items():
    if start(source) == 0 and (name != "leaves a file" or Path(given["left"]).exists()):
        through.append(name)
    Path(given["left"]).unlink(missing_ok=True)
print(json.dumps({"seconds": seconds, "through": through}))
