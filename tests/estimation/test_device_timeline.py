"""What a profile of a device's pools says, by hand: milliseconds stand for seconds."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import BOARD, chain

from opclock.estimation.estimate import estimate
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile

ROUNDS = 10


def kept(path, trace, host=1.0, waits=(), **lanes):
    """A profile of these seconds by call, the same in every round, and of as much host work before each call."""
    keys = [traced.call.key for traced in trace.calls]
    with Profile.create_or_open(path, BOARD) as profile:
        for timing, seconds in lanes.items():
            played = timing == "in_model"
            pool = profile.start_pool(
                Condition.of(timing, "cpu", 2, trace.working_set), keys, [1] * len(keys), signature=timing,
                calls=trace.calls, host=(host_key(trace), host_kinds(trace)) if played else None,
                context={"waits": [keys[i] for i in waits] if timing == "device" else []},
            )  # fmt: skip
            rows = np.tile(np.array(seconds, dtype=float), (ROUNDS, 1))
            profile.add_rounds(pool, rows, np.ones(ROUNDS),
                               np.full((ROUNDS, len(keys) + 1), host) if played else None)  # fmt: skip
            profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})


def read(path, trace):
    with Profile.open(path) as profile:
        return estimate(trace, profile, threads=2)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "p.sqlite"


def test_a_device_slower_than_its_host(path):
    trace = chain("conv2d", "relu", "tanh")
    kept(path, trace, in_model=[1, 1, 1], device=[10, 20, 30], isolated=[12.5, 22.5, 32.5])
    estimated = read(path, trace)
    # Issued at 2, begun 1.5 later, then one after the other.
    assert estimated.total_s == pytest.approx(2 + 1.5 + 60)
    assert estimated.lanes.replay_s == estimated.lanes.busy_s == pytest.approx(60)
    assert estimated.lanes.lag_s == pytest.approx(1.5)
    assert estimated.lanes.launch_bound_share == pytest.approx(1 / 3)
    assert [part.kernel_s for part in estimated.parts] == pytest.approx([10, 20, 30])
    assert estimated.host_s == pytest.approx(3.5)
    assert sum(estimated.by_class().values()) == pytest.approx(estimated.total_s)
    assert estimated.complete


def test_a_host_slower_than_its_device(path):
    trace = chain("conv2d", "relu", "tanh")
    kept(path, trace, host=9.0, in_model=[1, 1, 1], device=[2, 2, 2], isolated=[3, 3, 3])
    estimated = read(path, trace)
    assert estimated.total_s == pytest.approx(3 * 10 + 9)  # the host's last work is longer than the last kernel
    assert estimated.lanes.launch_bound_share == 1.0
    assert estimated.host_s == pytest.approx(39)  # no kernel is ever waited for
    assert [part.kernel_s for part in estimated.parts] == [0, 0, 0]
    assert estimated.lanes.idle_share == pytest.approx(1 - 6 / 39)


def test_a_recorded_graph_is_what_was_recorded(path):
    trace = chain("conv2d", "relu")
    kept(path, trace, in_model=[1, 1], device=[10, 20], isolated=[11, 21], recorded=[9, 19])
    estimated = read(path, trace)
    assert estimated.lanes.replay_s == pytest.approx(28)
    assert estimated.lanes.busy_s == pytest.approx(30)


def test_a_call_that_waits_joins_the_lanes(path):
    trace = chain("conv2d", "relu", "tanh")
    kept(path, trace, waits=[1], in_model=[1, 1, 1], device=[10, 10, 10], isolated=[11, 11, 11])
    estimated = read(path, trace)
    # Issued at 2 and 4, done at 22; the third is issued 2 after that.
    assert estimated.total_s == pytest.approx(22 + 2 + 10)
    assert [part.kernel_s for part in estimated.parts] == pytest.approx([10, 10, 10])
    assert [part.host_s for part in estimated.parts] == pytest.approx([2, 0, 2])


def test_calls_that_no_lane_has_are_unknown(path):
    kept(path, chain("conv2d", "relu"), in_model=[1, 1], device=[10, 10], isolated=[11, 11])
    estimated = read(path, chain("conv2d", "tanh"))
    assert estimated.unknown == ("aten::tanh(float32[1x4x8x8])",)
    assert not estimated.complete


def test_without_a_device_s_own_time_there_is_one_lane(path):
    trace = chain("conv2d", "relu")
    kept(path, trace, in_model=[1, 1])
    estimated = read(path, trace)
    assert estimated.lanes is None
    assert estimated.total_s == pytest.approx(5)
