"""How much memory this process can still take."""

from __future__ import annotations

from pathlib import Path

import psutil

from opclock.board.control_groups import group_folders
from opclock.files import text_of

FILE_CACHES = ("active_file", "inactive_file")  # the kernel drops them where a group needs memory


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Bytes that are free: of the machine, or of the control group that leaves this process least.

    A process that goes beyond its group's limit is killed, however much the machine has. Sources: ``memory.max`` of
    version 2, ``memory.limit_in_bytes`` of version 1 (the kernel's documents on cgroup-v2 and on the memory
    controller).

    Args:
        root: where /proc and /sys are; a test passes another folder.

    Returns:
        Bytes. Memory that only caches files counts as free.
    """
    left = [free for folder in group_folders("memory", root) if (free := _left_in(folder)) is not None]
    return min(int(psutil.virtual_memory().available), *left) if left else int(psutil.virtual_memory().available)


def _left_in(folder: Path) -> int | None:
    """Bytes below a group's limit; None where it has none."""
    limit = text_of(folder / "memory.max") or text_of(folder / "memory.limit_in_bytes")
    used = text_of(folder / "memory.current") or text_of(folder / "memory.usage_in_bytes")
    if not limit.isdigit() or not used.isdigit():  # "max" stands for no limit
        return None
    pairs = (line.split() for line in text_of(folder / "memory.stat").splitlines())
    facts = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    cached = sum(facts.get(f"total_{name}", facts.get(name, 0)) for name in FILE_CACHES)  # version 1: of groups below
    return max(0, int(limit) - int(used) + cached)
