"""Workers by what a pod may use, not by what its machine has."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_evaluate.judge.cgroup import Allowance, allowance, num_workers

GIB = 1 << 30
MACHINE_ONLY = {"cgroup.controllers": "cpu memory\n"}
NO_LIMIT_V1 = "9223372036854771712\n"


def make(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("memberships", "files", "expected"),
    [
        pytest.param("0::/\n", MACHINE_ONLY, Allowance(), id="the root of a machine has no limits"),
        pytest.param(
            "0::/\n",
            {**MACHINE_ONLY, "cpu.max": "200000 100000\n", "memory.max": f"{4 * GIB}\n", "memory.current": f"{GIB}\n"},
            Allowance(2.0, 3 * GIB),
            id="a container that sees its own group as the root",
        ),
        pytest.param(
            "0::/a/b\n",
            {**MACHINE_ONLY, "a/b/cpu.max": "max 100000\n", "a/b/memory.max": "max\n"},
            Allowance(),
            id="a group without limits",
        ),
        pytest.param(
            "0::/pods/pod/box\n",
            {
                **MACHINE_ONLY, "pods/cpu.max": "400000 100000\n", "pods/pod/cpu.max": "150000 100000\n",
                "pods/pod/box/cpu.max": "max 100000\n", "pods/pod/memory.max": f"{4 * GIB}\n",
                "pods/pod/memory.current": "0\n", "pods/pod/box/memory.max": f"{8 * GIB}\n",
                "pods/pod/box/memory.current": "0\n",
            },
            Allowance(1.5, 4 * GIB),
            id="groups in groups: the tightest counts",
        ),
        pytest.param(
            "0::/../../kubepods/gone\n",
            {**MACHINE_ONLY, "cpu.max": "50000 100000\n"},
            Allowance(0.5),
            id="a path that cannot be seen from here",
        ),
        pytest.param(
            "0::/\n",
            {
                **MACHINE_ONLY, "memory.max": f"{4 * GIB}\n", "memory.current": f"{3 * GIB}\n",
                "memory.stat": f"anon {GIB}\nfile {2 * GIB}\ninactive_file {2 * GIB}\n",
            },
            Allowance(None, 3 * GIB),
            id="files in memory can be given back",
        ),
        pytest.param(
            "0::/\n",
            {**MACHINE_ONLY, "memory.max": f"{GIB}\n", "memory.current": f"{2 * GIB}\n"},
            Allowance(None, 0),
            id="more in use than allowed",
        ),
        pytest.param(
            "4:memory:/pod\n2:cpu,cpuacct:/pod\n1:name=systemd:/\n",
            {
                "memory/pod/memory.limit_in_bytes": f"{4 * GIB}\n", "memory/pod/memory.usage_in_bytes": f"{GIB}\n",
                "memory/memory.limit_in_bytes": NO_LIMIT_V1, "memory/memory.usage_in_bytes": "0\n",
                "cpu,cpuacct/pod/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n",
            },
            Allowance(3.0, 3 * GIB),
            id="version 1",
        ),
        pytest.param(
            "4:memory:/docker/0123\n2:cpuacct,cpu:/docker/0123\n",
            {
                "memory/memory.limit_in_bytes": f"{2 * GIB}\n", "memory/memory.usage_in_bytes": f"{GIB}\n",
                "memory/memory.stat": f"total_inactive_file {GIB}\n",
                "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n",
            },
            Allowance(None, 2 * GIB),
            id="version 1 in a container that shows the machine's paths",
        ),
        pytest.param(
            "5:cpu:/\n0::/pod\n",
            {
                "cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n",
                "unified/cgroup.controllers": "memory\n", "unified/pod/memory.max": f"{GIB}\n",
                "unified/pod/memory.current": "0\n",
            },
            Allowance(1.0, GIB),
            id="both versions",
        ),
        pytest.param("", {}, Allowance(), id="no groups at all"),
        pytest.param("nonsense\n0:\n", {"cpu.max": "x y\n"}, Allowance(), id="text that says nothing"),
        pytest.param("0::/\n", {**MACHINE_ONLY, "cpu.max": "100000 0\n"}, Allowance(), id="a period of nothing"),
    ],
)  # fmt: skip
def test_allowances(tmp_path: Path, memberships: str, files: dict[str, str], expected: Allowance) -> None:
    assert allowance(memberships, make(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("cores", "available", "allowed", "expected"),
    [
        pytest.param(4, 64 * GIB, Allowance(), 8, id="twice the cores"),
        pytest.param(64, 256 * GIB, Allowance(None, 4 * GIB), 3, id="a pod of 4 GiB on 64 cores"),
        pytest.param(64, 256 * GIB, Allowance(2.0, 100 * GIB), 4, id="two cores of 64"),
        pytest.param(64, 256 * GIB, Allowance(0.5), 1, id="half a core"),
        pytest.param(64, 256 * GIB, Allowance(0.1, 0), 1, id="at least one"),
        pytest.param(2, GIB, Allowance(8.0, 64 * GIB), 1, id="the machine has less than the group may use"),
    ],
)
def test_workers(cores: int, available: int, allowed: Allowance, expected: int) -> None:
    assert num_workers(5 * GIB // 4, cores, available, allowed) == expected
