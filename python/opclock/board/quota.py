"""Reads how much processor time a container may use: the CPU quota of its control groups."""

from __future__ import annotations

from pathlib import Path

from opclock.board.control_groups import group_folders
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
    found = [quota for folder in group_folders("cpu", root) if (quota := _quota_of(folder)) is not None]
    return min(found, default=None)


def _quota_of(folder: Path) -> float | None:
    limit, _, period = text_of(folder / "cpu.max").partition(" ")
    if not limit:
        limit, period = text_of(folder / "cpu.cfs_quota_us"), text_of(folder / "cpu.cfs_period_us")
    if not limit.isdigit() or not period.isdigit() or int(period) == 0:  # "max" and -1 stand for no limit
        return None
    return int(limit) / int(period)
