"""`make e2e`: run the tests of this folder where a real node can stand, and leave nothing of it behind.

Owns the namespaces: a mount, network and process namespace of their own for the cluster and the tests alike.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from daybreak_serve import parent_death
from tests.cluster import sweeper
from tests.cluster.binaries import NoClusterError
from tests.cluster.processes import SWEEPER
from tests.cluster.training_operator import WAITED_FOR
from tests.e2e import cluster, node

FOLDER = "DAYBREAK_E2E_FOLDER"
"""Set inside: the data folder. Its name is that of the cgroup, too."""
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
TRIED = "mount --make-rshared / && mount -t tmpfs tmpfs /run && ip link add tried type bridge"
POD_TMP = Path("/tmp")
CANNOT_BE_HERE = 77
"""The exit status where a machine has no room for a real node: what Automake's test harness takes for skipped."""


def outside(arguments: list[str]) -> int:
    """Build what is missing, make the namespaces, run the tests in them, remove what they leave."""
    reason = lacking()
    if reason is not None:
        print(f"e2e: skipped: {reason}", file=sys.stderr)
        return CANNOT_BE_HERE
    data = Path(tempfile.mkdtemp(prefix="daybreak-e2e-"))
    try:
        make_cgroup(data.name)
    except OSError as reason:
        print(f"e2e: skipped: no cgroup of its own for a node: {reason}", file=sys.stderr)
        sweeper.sweep(data, data.name)
        return CANNOT_BE_HERE
    sweeping = [sys.executable, "-I", "-S", str(SWEEPER), str(os.getpid()), str(data), data.name]
    with subprocess.Popen(sweeping, stdin=subprocess.DEVNULL, start_new_session=True) as behind:
        try:
            return subprocess.run(
                [sys.executable, "-I", "-S", parent_death.__file__, str(os.getpid()), *unshare(arguments)],
                env={**os.environ, FOLDER: str(data)},
                check=False,
            ).returncode
        finally:
            behind.kill()
            sweeper.sweep(data, data.name)


def lacking() -> str | None:
    """Build what is missing; return why no real node can stand here, or None."""
    if os.geteuid() != 0:
        return "a real node needs root"
    if shutil.which(UNSHARE[0]) is None:
        return f"a real node needs {UNSHARE[0]}, of util-linux"
    tried = subprocess.run([*UNSHARE, "sh", "-c", TRIED], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"no namespaces with mounts and bridges of their own: {tried.stderr.strip()}"
    hidden = [folder for folder in node.host_folders(java=None) if folder.is_relative_to(POD_TMP)]
    if hidden:
        return (
            f"pods have a {POD_TMP} of their own and would not see {hidden[0]}: clone the project elsewhere"
        )
    try:
        cluster.locate(os.environ, lambda text: print(f"e2e: {text}", flush=True))
    except NoClusterError as reason:
        return str(reason)
    return None


def unshare(arguments: list[str]) -> list[str]:
    """Return the command line of the first process inside."""
    program = shutil.which(UNSHARE[0])
    assert program is not None  # `lacking` has tried it
    return [program, *UNSHARE[1:], sys.executable, "-m", "tests.e2e", *arguments]


def make_cgroup(name: str) -> None:
    """Make the cgroup below which the kubelet makes its own; version 1 wants CPUs and memory named."""
    top = sweeper.CGROUPS
    if (top / "cgroup.controllers").exists():
        (top / name).mkdir()
        for controller in (top / "cgroup.controllers").read_text().split():
            for folder in (top, top / name):
                with contextlib.suppress(OSError):  # the kubelet says which of them it cannot be without
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        return
    for hierarchy in top.iterdir():
        if hierarchy.is_dir() and not hierarchy.is_symlink():
            (hierarchy / name).mkdir()
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (hierarchy / setting).exists():
                    (hierarchy / name / setting).write_text((hierarchy / setting).read_text())


def inside(arguments: list[str]) -> int:
    """Be the first process: mounts of our own, then pytest; adopt and bury what containers leave."""
    subprocess.run(["mount", "--make-rshared", "/"], check=True)
    WAITED_FOR.parent.parent.mkdir(exist_ok=True)
    for folder in ("/run", str(WAITED_FOR.parent.parent)):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    here = str(Path(__file__).parent)
    command = [sys.executable, "-m", "pytest", here, *arguments]
    tests = subprocess.Popen(command)
    while True:
        pid, status = os.wait()
        if pid == tests.pid:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(inside(sys.argv[1:]) if os.getpid() == 1 else outside(sys.argv[1:]))
