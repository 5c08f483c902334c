"""The raw extension without torch: clock, statistics, ceilings."""

from __future__ import annotations

import threading
import time

import pytest

from opclock import _core


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


def test_a_chain_twice_as_long_takes_twice_as_long(clock):
    # The shortest of many: other processes only lengthen a sample.
    short, long = (min(_core.time_chain(clock, steps, 500)) for steps in (5_000, 10_000))
    assert 1.5 < long / short < 2.5


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
    assert _core.lag1_autocorrelation([1, -1, 1, -1]) == pytest.approx(-0.75)
    assert _core.drift_against([1, 1, 2, 2], [1, 1, 2, 2]) == 0
