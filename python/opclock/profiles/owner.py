"""The process that samples a pool. It distinguishes a running pool from an interrupted one."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

ENDED = ("Z", "X")  # states in /proc
STALE_S = 300.0  # a running pool gets a block of rounds more often; the warm-up of a large model is the longest gap
PROC = Path("/proc")


def this_process() -> str:
    """Name this process: "SPACE:PID:START".

    SPACE is the boot and the PID namespace, in which a PID belongs to one process at a time. START is when the process
    started, in ticks since boot, because PIDs are used again. Without ``/proc``, SPACE is the host and START is empty.
    """
    pid = os.getpid()
    return f"{_space()}:{pid}:{_start(pid) or ''}"


def is_running(owner: str, heartbeat: float) -> bool:
    """Whether another process is sampling a pool now.

    Args:
        owner: the pool's owner, as ``this_process`` named it; "" where unknown.
        heartbeat: seconds since 1970 when the owner last wrote to the pool.

    Returns:
        False for this process: it samples one pool after another, so its unfinished ones were interrupted. False where
        the last sign of life is over five minutes old. Where the owner's PID means something here, false when that
        process is gone.
    """
    if not owner or owner == this_process() or abs(time.time() - heartbeat) > STALE_S:
        return False
    space, pid, start = owner.rsplit(":", 2)
    return space != _space() or not start or _start(int(pid)) == start


def _space() -> str:
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return platform.node()


def _start(pid: int) -> str | None:
    """When a process started, in ticks since boot; None where there is no such process or no ``/proc``.

    One that has ended counts as gone, although it is listed until its parent has asked how.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # from field 3 on; the second is the name, which may hold spaces
    return None if state in ENDED else fields[18]
