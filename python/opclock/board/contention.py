"""Asks the kernel how much other programs took from this process. Needs no torch; changes nothing.

Every source is optional: a kernel may keep no scheduler statistics, and other systems have no /proc.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from opclock.board.system import allowed_cores
from opclock.files import text_of

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
LONGEST = 256  # bytes of a thread's scheduler statistics, at most
WATCHED_S = 0.25
# Columns of a core in /proc/stat: its name, user, nice, system, idle, I/O wait, interrupts of two kinds, stolen.
BUSY, STOLEN = slice(1, 4), slice(8, 9)


class Counters(NamedTuple):
    """What the kernel has counted until now; NaN where it does not count. Only differences mean something."""

    wall_s: float
    wait_s: float  # threads of this process were ready and waited for a core: seconds, summed over the threads
    switches: float  # how often the kernel took a core from a thread of this process
    cpu_s: float  # CPU time of this process
    steal_s: float  # seconds that a virtual machine's host took from the allowed cores, in steps of 10 ms
    faults: float = math.nan  # page faults of this process that needed no disk: new memory was touched


class Contention:
    """Reads the counters of this process. One reading takes about 4 µs a thread.

    Args:
        root: where /proc is; a test passes another folder.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._threads: dict[str, int] = {}  # file descriptors of scheduler statistics, by thread
        self._waited_ns: dict[str, int] = {}  # by thread, those that ended included
        self._steal_s = math.nan
        self.refresh()

    def refresh(self) -> None:
        """Look for new threads, and read the stolen time, which changes too slowly to be read more often."""
        tasks = self._root / "proc/self/task"
        with suppress(OSError):
            for task in tasks.iterdir():
                if task.name not in self._threads:
                    with suppress(OSError):  # the thread ended, or the kernel keeps no statistics
                        self._threads[task.name] = os.open(task / "schedstat", os.O_RDONLY)
        self._steal_s = stolen_s(self._root)

    def read(self) -> Counters:
        """The counters now."""
        for name, descriptor in list(self._threads.items()):
            try:
                self._waited_ns[name] = int(os.pread(descriptor, LONGEST, 0).split()[1])
            except (OSError, IndexError, ValueError):  # the thread ended
                os.close(self._threads.pop(name))
        wait_s = sum(self._waited_ns.values()) / 1e9 if self._waited_ns else math.nan
        switches, faults = _resources()
        return Counters(time.perf_counter(), wait_s, switches, time.process_time(), self._steal_s, faults)

    def close(self) -> None:
        """Close the files."""
        while self._threads:
            os.close(self._threads.popitem()[1])

    def __del__(self) -> None:
        self.close()


def _resources() -> tuple[float, float]:
    """How often the kernel took a core from a thread of this process, and its page faults; NaN where not counted."""
    try:
        import resource
    except ImportError:  # Windows
        return math.nan, math.nan
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return float(usage.ru_nivcsw), float(usage.ru_minflt)


def stolen_s(root: Path = Path("/")) -> float:
    """Seconds since boot that a virtual machine's host took from the allowed cores; NaN where they are not counted."""
    return _core_s(root, STOLEN)


def others_cores(root: Path = Path("/")) -> float:
    """How many of the allowed cores other programs keep busy. Watches for WATCHED_S; NaN where it is not counted."""

    def others_s() -> float:
        return _core_s(root, BUSY) - time.process_time()

    before_s, began = others_s(), time.monotonic()
    time.sleep(WATCHED_S)
    return (others_s() - before_s) / (time.monotonic() - began)


def _core_s(root: Path, columns: slice) -> float:
    """Seconds since boot in these columns of /proc/stat, summed over the allowed cores; NaN where it has none."""
    wanted = {f"cpu{core}" for core in allowed_cores()}
    fields = [line.split() for line in text_of(root / "proc/stat").splitlines() if line.startswith("cpu")]
    ticks = [sum(map(int, parts[columns])) for parts in fields if parts[0] in wanted and len(parts) >= columns.stop]
    return sum(ticks) / TICKS_PER_S if ticks else math.nan


def stalled_s(root: Path = Path("/")) -> float:
    """Seconds since boot in which some process of the machine waited for a core; NaN where they are not counted."""
    for line in text_of(root / "proc/pressure/cpu").splitlines():
        kind, *facts = line.split()
        total = dict(fact.split("=", 1) for fact in facts if "=" in fact).get("total", "")
        if kind == "some" and total.isdigit():
            return int(total) / 1e6
    return math.nan
