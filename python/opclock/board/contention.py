"""Asks the kernel how much other programs took from this process. Needs no torch; changes nothing.

Every source is optional: a kernel may keep no scheduler statistics, and other systems have no /proc.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
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


class OtherPrograms:
    """Watches how many of the allowed cores other programs keep busy, from when this is made."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root, self._began = root, time.monotonic()
        self._busy_s, self._own_s = _by_core(root, BUSY), _own_s()

    def cores(self) -> float:
        """The mean until now, of WATCHED_S at least; NaN where it is not counted.

        The cores are those allowed now: a command may pin itself after it began.
        """
        time.sleep(max(0.0, self._began + WATCHED_S - time.monotonic()))
        since = {core: busy_s - self._busy_s.get(core, math.nan) for core, busy_s in _by_core(self._root, BUSY).items()}
        return (_sum(since) - (_own_s() - self._own_s)) / (time.monotonic() - self._began)


def _own_s() -> float:
    """CPU time of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def _core_s(root: Path, columns: slice) -> float:
    """Seconds since boot in these columns of /proc/stat, summed over the allowed cores; NaN where it has none."""
    return _sum(_by_core(root, columns))


def _sum(by_core: Mapping[str, float]) -> float:
    """Over the allowed cores; NaN where there is none of them."""
    seconds = [by_core[name] for core in allowed_cores() if (name := f"cpu{core}") in by_core]
    return sum(seconds) if seconds else math.nan


def _by_core(root: Path, columns: slice) -> dict[str, float]:
    """By core: seconds since boot in these columns of /proc/stat."""
    fields = [line.split() for line in text_of(root / "proc/stat").splitlines() if line.startswith("cpu")]
    return {parts[0]: sum(map(int, parts[columns])) / TICKS_PER_S for parts in fields if len(parts) >= columns.stop}


def stalled_s(root: Path = Path("/")) -> float:
    """Seconds since boot in which some process of the machine waited for a core; NaN where they are not counted."""
    for line in text_of(root / "proc/pressure/cpu").splitlines():
        kind, *facts = line.split()
        total = dict(fact.split("=", 1) for fact in facts if "=" in fact).get("total", "")
        if kind == "some" and total.isdigit():
            return int(total) / 1e6
    return math.nan
