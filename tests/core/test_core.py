"""The raw extension without torch: clock, statistics, ceilings."""

from __future__ import annotations

import os
import platform
import re
import signal as signals
import subprocess
import sys
import threading
import time

import pytest

from opclock import _core
from opclock.board.cores import emulator


@pytest.fixture(scope="module")
def clock():
    return _core.Clock.choose()


def test_clock_describes_itself(clock):
    assert clock.name in ("x86_tsc", "arm_cntvct", "posix_monotonic_raw")
    assert clock.steady
    assert 0 < clock.resolution_s < 1e-4
    assert 0 < clock.read_cost_s < 1e-4
    assert clock.shortest_sample_s == pytest.approx(max(1000 * clock.resolution_s, 100 * clock.read_cost_s))
    assert clock.prove().disagreement < 0.05


def test_a_longer_chain_takes_longer(clock):
    """In turn, and the shortest of many: other processes only lengthen a sample."""
    turns = [[min(_core.time_chain(clock, steps, 100)) for steps in (5_000, 50_000)] for _ in range(5)]
    short, long = (min(samples) for samples in zip(*turns, strict=True))
    assert long > short


def test_gil_is_released_while_timing(clock):
    done = threading.Event()
    thread = threading.Thread(target=lambda: (_core.time_chain(clock, 5_000_000, 20), done.set()))
    thread.start()
    steps = 0
    while not done.is_set():
        time.sleep(0.001)
        steps += 1
    thread.join()
    assert steps > 5  # the main thread went on meanwhile


def test_ceilings_are_positive(clock):
    assert _core.multiply_adds_per_s(clock, "float32", 1, 0.01) > 0
    assert _core.bytes_per_s(clock, "copy", 1 << 16, 2, 0.01) > 0
    assert _core.vector_instructions("float32")


def test_statistics_refuse_nothing():
    with pytest.raises(ValueError, match="no samples"):
        _core.median([])
    assert _core.judge([1.0] * 12) == "narrow"
    assert _core.drift([1, 1, 2, 2]) == 1


@pytest.mark.parametrize("statistic", ["median", "median_interval", "drift", "judge"])
def test_samples_that_have_no_order_are_refused(statistic):
    with pytest.raises(ValueError, match="NaN"):
        getattr(_core, statistic)([1.0] * 20 + [float("nan")] * 20)


@pytest.mark.parametrize("threads", [-1, 0, 100_000])
def test_thread_counts_that_no_machine_has_are_refused(clock, threads):
    with pytest.raises(ValueError, match=f"threads must be between 1 and 1024, not {threads}"):
        _core.multiply_adds_per_s(clock, "float32", threads, 0.01)
    with pytest.raises(ValueError, match="threads"):
        _core.bytes_per_s(clock, "read", 1 << 16, threads, 0.01)


STARVED = """
import resource
from pathlib import Path
from opclock import _core

clock = _core.Clock.choose()
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))  # room for a few threads' stacks
for _ in range(2):
    try:
        _core.multiply_adds_per_s(clock, "float32", 500, 0.0)
    except RuntimeError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(_core.multiply_adds_per_s(clock, "float32", 2, 0.0) > 0)
"""


@pytest.mark.skipif(bool(emulator(platform.machine())), reason="an emulator does not hold the limit of memory")
def test_a_thread_that_cannot_start_is_an_error_and_ends_the_others():
    done = subprocess.run([sys.executable, "-c", STARVED], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, second, works = done.stdout.splitlines()
    for line in (first, second):
        assert re.match(r"the system started [0-9]+ of 500 threads \(.*\): use fewer threads", line)
    assert works == "True"


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_durations_that_never_end_are_refused(clock, seconds):
    with pytest.raises(ValueError, match="max_s must be a finite number"):
        _core.multiply_adds_per_s(clock, "float32", 1, seconds)
    with pytest.raises(ValueError, match="max_s"):
        _core.bytes_per_s(clock, "read", 1 << 16, 1, seconds)
    with pytest.raises(ValueError, match="max_s"):
        _core.loads_per_s(clock, 1 << 16, seconds)


@pytest.mark.parametrize("size", [1 << 50, (1 << 64) - 1])
def test_working_sets_beyond_the_memory_are_refused(clock, size):
    with pytest.raises(ValueError, match="at most this machine's memory"):
        _core.bytes_per_s(clock, "read", size, 1, 0.01)
    with pytest.raises(ValueError, match="memory"):
        _core.loads_per_s(clock, size, 0.01)


def test_negative_counts_and_unknown_names_are_refused(clock):
    with pytest.raises(TypeError):
        _core.bytes_per_s(clock, "read", -1, 1, 0.01)
    with pytest.raises(TypeError):
        _core.time_chain(clock, -1, 1)
    with pytest.raises(ValueError, match="no pattern 'sideways'"):
        _core.bytes_per_s(clock, "sideways", 1 << 16, 1, 0.01)
    with pytest.raises(ValueError, match="no number 'float13'"):
        _core.vector_instructions("float13")


CRASH = "import ctypes, os; from opclock import _core; _core.set_crash_line('words'); "


@pytest.mark.parametrize(("statement", "signal", "said"), [
    ("ctypes.string_at(0)", "SIGSEGV", True),
    ("os.abort()", "SIGABRT", True),
    ("_core.set_crash_line(''); os.abort()", "SIGABRT", False),
    ("os.fork() or os.abort(); os.wait()", "", False),  # the parent is told
    ("import faulthandler; faulthandler.enable(); os.abort()", "SIGABRT", False),  # who has a handler keeps it
])  # fmt: skip
def test_a_crash_is_one_line_and_ends_the_process_as_before(statement, signal, said):
    if signal == "SIGSEGV" and "ASAN_OPTIONS" in os.environ:
        pytest.skip("the address sanitizer has a handler of its own")
    done = subprocess.run([sys.executable, "-c", CRASH + statement], capture_output=True, text=True, check=False)
    assert done.returncode == (-getattr(signals, signal) if signal else 0)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("qemu: ")]  # an emulator says it, too
    assert (lines == [f"opclock: killed by {signal} words"]) is said
