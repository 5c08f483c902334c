"""Reads how much processor time a container may use: the CPU quota of its control groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from opclock.files import text_of


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Read the smallest quota of this process's control group and the groups above it.

    Sources: ``cpu.max`` of version 2, ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` of version 1 (the kernel's
    documents on cgroup-v2 and on CFS bandwidth control).

    Args:
        root: where /proc and /sys are; a test passes another folder.

    Returns:
        Processor seconds a second, so 1.5 is one core and a half; None where there is no limit.
    """
    found = [quota for folder in _group_folders(root) if (quota := _quota_of(folder)) is not None]
    return min(found, default=None)


def _quota_of(folder: Path) -> float | None:
    limit, _, period = text_of(folder / "cpu.max").partition(" ")
    if not limit:
        limit, period = text_of(folder / "cpu.cfs_quota_us"), text_of(folder / "cpu.cfs_period_us")
    if not limit.isdigit() or not period.isdigit() or int(period) == 0:  # "max" and -1 stand for no limit
        return None
    return int(limit) / int(period)


def _group_folders(root: Path) -> Iterator[Path]:
    """The folders of the groups that limit this process, in each hierarchy from its own group up to the mount."""
    mounts = list(_mounts(root))
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        for mounted, folder, holds in mounts:
            if controllers == holds or holds in controllers.split(","):
                # Inside a container, the mount may show a part of the tree only, or the path may lie outside it.
                inside = Path(path).relative_to(mounted) if Path(path).is_relative_to(mounted) else Path()
                own = folder / inside
                yield own
                yield from (above for above in own.parents if above.is_relative_to(folder))


def _mounts(root: Path) -> Iterator[tuple[str, Path, str]]:
    """For each mounted hierarchy: the group at its top, its folder, and "cpu" for version 1 or "" for version 2."""
    for line in text_of(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        holds = "" if kind[0] == "cgroup2" else "cpu"
        if holds and not re.search(r"(^|,)cpu(,|$)", kind[-1]):
            continue
        yield fields[3], root / fields[4].lstrip("/"), holds
