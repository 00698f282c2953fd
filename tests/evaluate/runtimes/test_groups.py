"""Memory of a box and of all that it starts: by the kernel where a control group can be made, added up where not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from daybreak_evaluate.runtimes.boxes.groups import BY_GROUP, PREFIX, BoxGroups, find_groups
from daybreak_evaluate.runtimes.boxes.pool import BoxPool
from daybreak_evaluate.runtimes.boxes.values import Box, BoxLimits, BoxStep, Job, Overrun

PERL = shutil.which("perl") or ""
LIMITS = BoxLimits(cpu_s=10, memory_bytes=128 << 20, address_bytes=4 << 30, processes=32, file_bytes=16 << 20)
CHILDREN = "for (1..6) { if (!fork) { %s; exit } } wait for 1..6; print 'done'"
PROGRAMS = {
    "children take it together": (CHILDREN % "$x = 'a' x (40 << 20); sleep 1", Overrun.MEMORY),
    "children take it together for a moment": (
        CHILDREN % "$x = 'a' x (45 << 20); select undef, undef, undef, 0.02",
        Overrun.MEMORY,
    ),
    "children share what one has": ("$x = 'a' x (50 << 20); " + CHILDREN % "sleep 1", Overrun.NONE),
    "little": ("$x = 'a' x (20 << 20); print 'done'", Overrun.NONE),
}


@pytest.mark.needs("compilers")
@pytest.mark.xdist_group("runtimes")
def test_a_box_and_its_children_are_limited_together() -> None:
    place = find_groups()
    if place.parent is None:
        pytest.skip(f"no control group can be made here: {place.reason}")
    if not PERL:
        pytest.skip("perl is not installed")
    jobs = [Job((BoxStep(Box((PERL, "-e", text), LIMITS)),)) for text, _ in PROGRAMS.values()]
    with BoxPool([PERL], 1) as pool:
        outcomes = dict(pool.run(jobs))
        assert pool.tier.details[-1] == BY_GROUP
    found = {name: outcomes[index][-1].overrun for index, name in enumerate(PROGRAMS)}
    assert found == {name: overrun for name, (_, overrun) in PROGRAMS.items()}
    assert [*place.parent.glob(f"{PREFIX}*")] == []


def version_2(root: Path, path: str, delegated: str) -> str:
    """Make folders as a kernel with version 2 shows them; returns the text of /proc/self/cgroup."""
    (root / path).mkdir(parents=True)
    for folder in [root, *(root / path).parents, root / path]:
        if folder.is_relative_to(root):
            (folder / "cgroup.controllers").write_text("cpu memory pids")
            given = "cpu memory" if folder == root / delegated else "cpu"
            (folder / "cgroup.subtree_control").write_text(given)
    return f"0::/{path}\n"


def test_version_2_takes_the_group_around_us_that_hands_memory_on(tmp_path: Path) -> None:
    memberships = version_2(tmp_path, "user.slice/app.slice/run.scope", "user.slice/app.slice")
    found = find_groups(memberships, tmp_path)
    assert found.parent == tmp_path / "user.slice/app.slice" and found.limit_file == "memory.max"
    group = found.make("1", 5 << 20)
    assert group is not None and (group.folder / "memory.max").read_text() == str(5 << 20)
    assert (group.folder / "memory.swap.max").read_text() == "0"
    assert not group.was_over()
    (group.folder / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 1\n")
    assert group.was_over()


def test_where_no_group_can_be_made_the_protocol_says_why(tmp_path: Path) -> None:
    memberships = version_2(tmp_path, "kubepods/pod1", "nowhere")
    assert find_groups(memberships, tmp_path) == BoxGroups(reason="no controller of memory is mounted here")
    (tmp_path / "memory" / "pod1").mkdir(parents=True)
    (tmp_path / "memory" / "pod1" / "memory.limit_in_bytes").write_text("1")
    locked = find_groups("4:memory:/pod1\n", tmp_path / "there is none")
    assert locked.parent is None and "no control group (no controller of memory" in locked.detail
    assert find_groups("4:memory:/pod1\n", tmp_path).parent == tmp_path / "memory" / "pod1"


def test_a_group_that_may_not_be_made_is_told_by_its_error(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "taken").mkdir()
    pid_free = BoxGroups(tmp_path / "memory" / "gone")
    with pytest.raises(FileNotFoundError):
        pid_free.make("1", 1)
    (tmp_path / "memory" / f"{PREFIX}999999999-1").mkdir()
    BoxGroups(tmp_path / "memory").sweep()
    assert [path.name for path in (tmp_path / "memory").iterdir()] == ["taken"]
