"""What this process may use of the machine: cores and memory of the control groups that it stands in.

Owns reading them, versions 1 and 2. A pod of 4 GiB and two cores on a machine of 64 sees the machine's numbers
everywhere else. Groups lie in one another, and the tightest counts; a container may see its own group as the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIPS = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2 ** 63 where there is no limit of memory."""


@dataclass(frozen=True)
class Allowance:
    """What the control groups leave; None for no limit."""

    cores: float | None = None
    free_bytes: int | None = None
    """Limit of memory less what is in use and could not be given back at once."""


def num_workers(each_bytes: int, num_cores: int, available_bytes: int, allowed: Allowance) -> int:
    """Return twice the cores, as far as memory goes, and at least one.

    More than the cores, so that sleepers hold nobody up: processor time is counted, and a share of a core is no harm.
    """
    cores = min(num_cores, allowed.cores if allowed.cores is not None else num_cores)
    memory = min(available_bytes, allowed.free_bytes if allowed.free_bytes is not None else available_bytes)
    return max(1, min(int(2 * cores), memory // each_bytes))


def allowance(memberships: str, root: Path) -> Allowance:
    """Return what the groups in ``memberships`` (text of /proc/self/cgroup) allow, and those around them."""
    cores: list[float] = []
    free: list[int] = []
    for controllers, path in groups(memberships):
        for folder in folders(controllers, path, root):
            cores += _cores(folder)
            free += _free_bytes(folder)
    return Allowance(min(cores, default=None), min(free, default=None))


def groups(memberships: str) -> Iterator[tuple[str, str]]:
    """Yield controllers and path of each group; no controllers for version 2."""
    for line in memberships.splitlines():
        _, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if separator and not controllers.startswith("name="):
            yield controllers, path


def folders(controllers: str, path: str, root: Path) -> Iterator[Path]:
    """Yield the folder of a group and of all groups around it, as far as they can be seen."""
    if controllers:
        names = [controllers, *controllers.split(",")]
        tops = [root / name for name in names if (root / name).is_dir()][:1]
    else:
        tops = [folder for folder in (root, root / "unified") if (folder / "cgroup.controllers").exists()][:1]
    for top in tops:
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]
        for length in range(len(parts), -1, -1):
            folder = top.joinpath(*parts[:length])
            if folder.is_dir():
                yield folder


def _cores(folder: Path) -> list[float]:
    quota, period = [*_words(folder / "cpu.max"), "", ""][:2]
    if not quota:
        quota, period = _word(folder / "cpu.cfs_quota_us"), _word(folder / "cpu.cfs_period_us")
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return []  # "max", or -1
    return [int(quota) / int(period)]


def _free_bytes(folder: Path) -> list[int]:
    limit, used = _word(folder / "memory.max"), _word(folder / "memory.current")
    cache = "inactive_file"
    if not limit:
        limit, used = _word(folder / "memory.limit_in_bytes"), _word(folder / "memory.usage_in_bytes")
        cache = "total_inactive_file"
    if not limit.isdecimal() or int(limit) >= NO_LIMIT:
        return []
    statistics = _words(folder / "memory.stat")
    reclaimable = dict(zip(statistics[::2], statistics[1::2], strict=False)).get(cache, "0")
    kept = int(used or 0) - int(reclaimable)
    return [max(int(limit) - max(kept, 0), 0)]


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []  # not of this version, or not a group with that controller


def _word(path: Path) -> str:
    return next(iter(_words(path)), "")
