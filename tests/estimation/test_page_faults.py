"""An estimate has the page faults of the model: hand-computed rounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import BOARD, chain

from opclock.estimation.estimate import estimate
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.estimation.page_faults import PageFaults
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.profiles.profile import Profile

TRACE = chain("relu", "tanh", batch=512)  # outputs of 512 KB
KERNEL_S, FAULT_S = 2e-3, 1.5e-6  # of a kernel without page faults; of a page fault


def stored(path, faults_by_process, model_faults, *, new_memory_s=2e-6):
    """A profile whose rounds have these page faults; each takes 1.5 µs."""
    keys = [traced.call.key for traced in TRACE.calls]
    condition = Condition.of("in_model", "cpu", 2, TRACE.working_set)
    with Profile.create_or_open(path, BOARD) as profile:
        pool = profile.start_pool(condition, keys, [1, 1], signature="s", host=(host_key(TRACE), host_kinds(TRACE)))
        for number in range(len(faults_by_process[0])):
            for process, faults in enumerate(faults_by_process, start=1):
                readings = Readings.unknown(1)
                readings.wall_s[:], readings.wait_s[:], readings.faults[:] = 1.0, 0.0, faults[number]
                noise_s = 1e-6 * (-1) ** (number // 2)
                kernels_s = np.array([[KERNEL_S + noise_s, KERNEL_S + faults[number] * FAULT_S]])
                controls = {} if new_memory_s is None else {"page fault": new_memory_s}
                profile.add_rounds(pool, kernels_s, np.ones(1), np.full((1, 3), 1e-4), readings, process=process,
                                   controls=controls)  # fmt: skip
        profile.end_pool(pool, "settled", ["narrow"] * 2, {"model_faults": model_faults})
    return path


def estimated(path):
    with Profile.open(path) as profile:
        return estimate(TRACE, profile)


def test_rounds_get_the_page_faults_that_the_model_takes_in_their_process(profile_path):
    rounds = ([0.0, 1000.0] * 4, [2000.0, 3000.0] * 4)
    done = estimated(stored(profile_path, rounds, {1: 4000, 2: 2000}))
    assert done.total_s == pytest.approx(2 * KERNEL_S + 3e-4 + 3000 * FAULT_S, rel=1e-3)
    assert [one.faults for one in done.processes] == [4000.0, 2000.0]
    assert [one.median_s for one in done.processes] == pytest.approx(
        [2 * KERNEL_S + 3e-4 + faults * FAULT_S for faults in (4000, 2000)], rel=1e-3
    )
    assert sum(part.kernel_s + part.host_s for part in done.parts) + done.host_tail_s == pytest.approx(done.total_s)


def test_a_model_with_fewer_page_faults_than_its_rounds_is_faster(profile_path):
    done = estimated(stored(profile_path, ([4000.0, 3000.0] * 4, [3000.0, 4000.0] * 4), {1: 0, 2: 0}))
    assert done.total_s == pytest.approx(2 * KERNEL_S + 3e-4, rel=1e-3)


def test_where_rounds_do_not_differ_new_memory_says_what_a_page_fault_costs(profile_path):
    path = stored(profile_path, ([0.0] * 8, [0.0] * 8), {1: 1000, 2: 1000}, new_memory_s=2e-6)
    done = estimated(path)
    assert done.total_s == pytest.approx(2 * KERNEL_S + 3e-4 + 1000 * 1.5e-6, rel=1e-3)
    assert done.ci_high_s - done.total_s >= 1000 * 0.49e-6  # between half of it and all of it
    with Profile.open(path) as profile:
        assert PageFaults.of(profile.pool(1), profile.pool(1).rounds_s).error_s == pytest.approx(
            1000 * 0.49e-6, rel=1e-3
        )


@pytest.mark.parametrize(("model_faults", "new_memory_s"), [({}, 2e-6), ({1: 1000, 2: 1000}, None)])
def test_what_is_not_known_is_not_added(profile_path, model_faults, new_memory_s):
    path = stored(profile_path, ([0.0] * 8, [0.0] * 8), model_faults, new_memory_s=new_memory_s)
    assert estimated(path).total_s == pytest.approx(2 * KERNEL_S + 3e-4, rel=1e-3)


def test_one_slow_round_with_a_few_page_faults_does_not_say_what_they_cost(profile_path):
    """Its slope was tens of microseconds for a page fault, and went to all of the model's."""
    path = stored(profile_path, ([0.0] * 7 + [50.0], [0.0] * 8), {1: 1000, 2: 1000})
    with Profile.open(path) as profile:
        pool = profile.pool(1)
        slow_s = pool.rounds_s + np.where(pool.faults > 0, 2e-3, 0.0)
        assert PageFaults.of(pool, slow_s).cost.seconds == pytest.approx(2e-6)  # what new memory took, no more


@pytest.mark.parametrize("damaged_s", [0.0, 1e-300, 1e300, math.inf])
def test_new_memory_that_took_no_possible_time_says_nothing(profile_path, damaged_s):
    path = stored(profile_path, ([0.0, 1000.0] * 4, [0.0] * 8), {1: 1000, 2: 1000}, new_memory_s=damaged_s)
    with Profile.open(path) as profile:
        assert PageFaults.of(profile.pool(1), profile.pool(1).rounds_s) is None


def test_the_time_goes_to_op_calls_that_take_memory(profile_path):
    done = estimated(stored(profile_path, ([0.0, 1000.0] * 4, [0.0, 1000.0] * 4), {1: 4000, 2: 4000}))
    added_s = [
        part.kernel_s - before_s for part, before_s in zip(done.parts, (KERNEL_S, KERNEL_S + 7.5e-4), strict=True)
    ]
    assert added_s == pytest.approx([3500 * FAULT_S / 2] * 2, rel=0.05)
    assert done.host_s == pytest.approx(3e-4, rel=0.01)
