"""Runtimes that misbehave, as an installed package would offer them, and one that is as right as eager."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENTRY_POINTS = "[opclock.runtimes]\n" + "".join(
    f"{name} = faulty:{cls}\n"
    for name, cls in {
        "raises": "Raises", "wrong": "Wrong", "shapeless": "Shapeless", "hangs": "Hangs", "dies": "Dies",
        "absent": "Absent", "slow-to-convert": "SlowToConvert", "honest": "Honest", "spawns": "Spawns",
    }.items()
)  # fmt: skip


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """These runtimes, installed for this process and its children."""
    import pytest  # not in the copy that a child imports

    from opclock.benchmarking import candidate

    (folder / "faulty.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    info = folder / "faulty-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setattr(candidate, "GRACE_S", 5.0)  # for those that hang
        yield


class Session:
    """Knows the right answer and gives it."""

    def __init__(self, job):
        self._expected = job.expected()
        self.runs = 0

    def run(self):
        self.runs += 1
        time.sleep(0.0005)

    def answers(self):
        return self._expected

    def operators(self):
        return []


class Honest:
    """Right, and about half a millisecond slow."""

    name = "honest"
    batches = "any"
    precisions = ("float32",)
    reports_operator_times = False
    session = Session

    def missing(self):
        return ""

    def versions(self):
        return {"faulty": "0.1"}

    def convert(self, job, settings):
        pass

    def load(self, job, settings, *, profiled=False):
        return self.session(job)


class Spawns(Honest):
    """Starts a process that would outlive it."""

    name = "spawns"
    helper = ("sleep", "601")

    def load(self, job, settings, *, profiled=False):
        subprocess.Popen(self.helper)
        return super().load(job, settings, profiled=profiled)


class Raises(Honest):
    name = "raises"

    def convert(self, job, settings):
        raise ValueError("no such operator: aten::conv2d\nand a second line")


class Zeros(Session):
    def answers(self):
        return [array * 0 for array in self._expected]


class Flat(Session):
    def answers(self):
        return [array.reshape(-1) for array in self._expected]


class Sleeper(Session):
    def run(self):
        self.runs += 1
        if self.runs > 1:
            time.sleep(1000)


class Victim(Session):
    def run(self):
        self.runs += 1
        if self.runs > 1:
            os.kill(os.getpid(), signal.SIGKILL)


class Wrong(Honest):
    name = "wrong"
    session = Zeros


class Shapeless(Honest):
    name = "shapeless"
    session = Flat


class Hangs(Honest):
    name = "hangs"
    session = Sleeper


class Dies(Honest):
    name = "dies"
    session = Victim


class SlowToConvert(Honest):
    name = "slow-to-convert"

    def convert(self, job, settings):
        time.sleep(1000)


class Absent(Honest):
    name = "absent"

    def missing(self):
        return "absent not installed: pip install absent"
