"""Child processes end with their parent, and none is missed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import psutil
import pytest

from opclock.benchmarking.worker.process import WorkerProcess
from opclock.children import process
from opclock.children.process import RuntimeFailedError, run_at_once
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import Settings

# A parent whose worker holds Python's lock, as converters do: no thread of the worker can run.
PARENT = """
import pathlib, sys, time
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import Settings
worker = WorkerProcess(Job(pathlib.Path(sys.argv[1]), "zoo:mobilenet", runtime="stuck"), Settings(1))
print(worker._child.pid, flush=True)
worker.ask("convert", 1000.0)
"""
STUCK = """
import ctypes
class Stuck:
    def convert(self, job, settings):
        (job.folder / "stuck").touch()
        ctypes.PyDLL(None).sleep(1000)
"""


def test_a_child_started_just_before_all_must_end_is_not_missed(tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    started = process._started

    def slowly(*arguments):
        begun.set()
        assert go_on.wait(60)
        return started(*arguments)

    monkeypatch.setattr(process, "_started", slowly)
    failures, children = [], []

    def convert(number):
        if number == 0:
            assert begun.wait(60)
            threading.Timer(0.2, go_on.set).start()
            raise KeyboardInterrupt
        with WorkerProcess(Job(tmp_path, "zoo:mobilenet"), Settings(1)) as worker:
            children.append(worker._child)
            try:
                worker.ask("convert", 60.0)
            except RuntimeFailedError as fault:
                failures.append(str(fault))

    with pytest.raises(KeyboardInterrupt):
        run_at_once(convert, [0, 1], 2)
    assert [child.poll() for child in children] == [-signal.SIGKILL]
    assert len(failures) == 1
    with pytest.raises(RuntimeFailedError, match="no runtime"), WorkerProcess(Job(tmp_path, "m"), Settings(1)) as again:
        again.ask("convert", 60.0)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux")
def test_a_child_that_holds_pythons_lock_does_not_survive_its_killed_parent(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "stuck-0.1.dist-info").mkdir(parents=True)
    (site / "stuck.py").write_text(STUCK)
    (site / "stuck-0.1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: stuck\nVersion: 0.1\n")
    (site / "stuck-0.1.dist-info/entry_points.txt").write_text("[opclock.runtimes]\nstuck = stuck:Stuck\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        for _ in range(600):
            if (tmp_path / "stuck").exists():
                break
            threading.Event().wait(0.1)
        assert (tmp_path / "stuck").exists()
        parent.kill()
    assert psutil.wait_procs([child], timeout=30)[1] == []
