"""Estimates for a state of the machine, on simulated boards."""

from __future__ import annotations

import math

import pytest
from helpers import board_profile, chain, filled, linear_trace

from opclock.errors import EstimateError
from opclock.estimation.estimate import COMPOSITION_DEVIATION, estimate
from opclock.prediction.ceilings import Ceilings
from opclock.prediction.training import training_samples
from opclock.profiles.machine_state import MachineState, usual_state
from opclock.profiles.profile import Profile

TRACE = chain("conv2d", "relu")
CONTROLS = dict.fromkeys(("product", "convolution", "batch_norm", "copy_4mb", "copy_16mb", "python"), 1e-4)
COMPOSED = 1.96 * COMPOSITION_DEVIATION  # half the interval of what a pool and a model differ by
MEMORY = ("copy_4mb", "copy_16mb")


def measured(path, *, clock=1.0, memory=1.0, trace=TRACE, controls=CONTROLS):
    """A board with this clock whose memory is slower; half of the ReLU's time is memory's. Returns the seconds."""
    seconds = {"conv2d": 2e-3 / clock, "relu": 1e-3 / clock * (0.5 + 0.5 * memory)}
    slower = {name: value / clock * (memory if name in MEMORY else 1.0) for name, value in controls.items()}
    filled(path, trace, seconds, host_s=1e-5 / clock, controls=slower)
    return seconds["conv2d"] + seconds["relu"] + 3e-5 / clock


def state_of(path):
    with Profile.open(path) as profile:
        return usual_state(profile, threads=2)


def estimated(path, state=None):
    with Profile.open(path) as profile:
        return estimate(TRACE, profile, state=state)


def test_a_board_at_half_its_clock_is_estimated_exactly_from_a_profile_at_full_clock(tmp_path):
    fast_s = measured(tmp_path / "fast.sqlite")
    slow_s = measured(tmp_path / "slow.sqlite", clock=0.5)
    found = estimated(tmp_path / "fast.sqlite", state_of(tmp_path / "slow.sqlite"))
    assert found.total_s == pytest.approx(slow_s) == pytest.approx(2 * fast_s)
    assert found.ci_low_s == pytest.approx((1 - COMPOSED) * slow_s)  # the change of state adds nothing
    assert found.ci_high_s == pytest.approx((1 + COMPOSED) * slow_s)
    assert found.shift.factor == pytest.approx(2.0)
    assert sum(found.by_class().values()) == pytest.approx(slow_s)


def test_a_board_with_slower_memory_lies_in_the_interval(tmp_path):
    measured(tmp_path / "fast.sqlite")
    slow_s = measured(tmp_path / "slow.sqlite", memory=1.5)
    found = estimated(tmp_path / "fast.sqlite", state_of(tmp_path / "slow.sqlite"))
    assert found.ci_low_s < slow_s < found.ci_high_s
    assert found.parts[0].kernel_low_s < 2e-3 < found.parts[0].kernel_high_s


def test_a_large_model_on_a_board_with_slower_memory_is_estimated_exactly(tmp_path):
    """A working set of 2 GB or more is read from memory alone."""
    far = dict.fromkeys(("far weights", "far copy", "far convolutions"), 1e-2)
    trace = linear_trace("large", 1 << 15)
    state = MachineState({name: math.log(value) for name, value in {**CONTROLS, **far}.items()})
    filled(tmp_path / "fast.sqlite", trace, {"linear": 1.0, "relu": 1e-6}, controls={**CONTROLS, **far})
    slower = MachineState({name: level + math.log(1.5) * (name in far) for name, level in state.levels.items()})
    with Profile.open(tmp_path / "fast.sqlite") as profile:
        found = estimate(trace, profile, state=slower)
    assert found.total_s == pytest.approx(1.5, rel=0.02)
    assert found.ci_low_s < 1.5 < found.ci_high_s


def test_the_default_is_the_usual_state_of_the_profile(tmp_path):
    """The model was measured in a slow minute; four others in usual ones."""
    path = tmp_path / "p.sqlite"
    for batch in range(2, 6):
        measured(path, trace=chain("conv2d", "relu", batch=batch))
    slow_s = measured(path, clock=0.8)
    assert estimated(path).total_s == pytest.approx(0.8 * slow_s)


def test_one_pool_alone_stays_as_it_is(tmp_path):
    seconds = measured(tmp_path / "p.sqlite")
    found = estimated(tmp_path / "p.sqlite")
    assert found.total_s == pytest.approx(seconds)
    assert found.shift.log == found.shift.half_width == 0.0


def test_a_profile_of_an_older_version_stays_as_it_is_and_a_state_is_refused(tmp_path):
    seconds = measured(tmp_path / "p.sqlite", controls={})
    found = estimated(tmp_path / "p.sqlite")
    assert found.total_s == pytest.approx(seconds)
    assert found.shift is None
    with pytest.raises(EstimateError, match="no control workloads"):
        estimated(tmp_path / "p.sqlite", MachineState(CONTROLS))


def test_a_pool_without_control_workloads_counts_as_usual_and_its_interval_says_so(tmp_path):
    path = tmp_path / "p.sqlite"
    measured(path, trace=chain("conv2d", "relu", batch=2))
    seconds = measured(path, controls={})
    slower = MachineState({name: math.log(2e-4) for name in CONTROLS})
    found = estimated(path, slower)
    assert found.total_s == pytest.approx(2 * seconds)
    assert found.ci_high_s / found.total_s == pytest.approx(1 + math.hypot(math.expm1(1.96 * 0.1), COMPOSED))


def test_predictions_and_the_host_of_other_models_move_with_the_state_too(tmp_path):
    """What was learnt from sweeps holds for the usual state."""
    path = tmp_path / "p.sqlite"
    gemms = [linear_trace("gemm", width).calls[0] for width in range(64, 1024, 32)]
    board_profile(path, gemms, [1e-3] * len(gemms))
    filled(path, chain("tanh", batch=2), {"tanh": 1e-5}, controls=CONTROLS)
    trace = linear_trace("new", 100)
    slower = MachineState(dict.fromkeys(CONTROLS, math.log(3e-4)))
    with Profile.open(path) as profile:
        usual, slow = (estimate(trace, profile, threads=2, state=state) for state in (None, slower))
    assert slow.parts[0].source == "modelled"
    assert slow.parts[0].kernel_s == pytest.approx(3 * usual.parts[0].kernel_s)
    assert slow.host_s == pytest.approx(3 * usual.host_s)


GEMMS = [linear_trace("gemm", width).calls[0] for width in range(64, 832, 16)]


def test_a_drift_of_the_machine_during_a_sweep_is_not_learnt(tmp_path):
    board_profile(tmp_path / "p.sqlite", GEMMS, [1e-3] * len(GEMMS), slower=(1.0, 1.5, 2.0), controls=CONTROLS)
    with Profile.open(tmp_path / "p.sqlite") as profile:
        samples = training_samples(profile, 2, "cpu", Ceilings.read(profile, 2))
    assert [sample.seconds for sample in samples] == pytest.approx(
        [1.5e-3] * len(GEMMS)
    )  # the usual state of its pools


def test_what_was_learnt_stays_in_the_state_of_its_sweep_where_models_are_measured_later(tmp_path):
    """It is kept, and what the profile's usual state is changes with later pools."""
    path, trace = tmp_path / "p.sqlite", linear_trace("new", 100)
    board_profile(path, GEMMS, [1e-3] * len(GEMMS), controls=CONTROLS)
    with Profile.open(path) as profile:
        swept_s = estimate(trace, profile, threads=2).parts[0].kernel_s
    for batch in range(2, 12):
        measured(path, clock=0.5, trace=chain("conv2d", "relu", batch=batch))
    with Profile.open(path) as profile:
        assert estimate(trace, profile, threads=2).parts[0].kernel_s == pytest.approx(2 * swept_s)
