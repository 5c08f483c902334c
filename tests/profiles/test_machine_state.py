"""The state of a machine by its control workloads: hand-computed levels and shifts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import chain, filled

from opclock.profiles.machine import Machine
from opclock.profiles.machine_state import MachineState, evenly, far_share, usual_state
from opclock.profiles.pool import OWN
from opclock.profiles.profile import Profile
from opclock.profiles.shift import Shift, mean_shift

NAMES = ("product", "copy_4mb", "python", "real residual")
SMALL = 16  # binary digits of a working set that lies in the caches


def state(*seconds: float) -> MachineState:
    return MachineState.of_seconds({name: np.array([value]) for name, value in zip(NAMES, seconds, strict=False)})


def test_a_machine_with_half_the_clock_takes_exactly_twice_as_long():
    shift = state(1e-4, 2e-4, 3e-4, 4e-4).to(state(2e-4, 4e-4, 6e-4, 8e-4), SMALL)
    assert shift.factor == pytest.approx(2.0)
    assert shift.half_width == pytest.approx(0.0, abs=1e-12)


def test_workloads_that_disagree_widen_the_interval():
    shift = state(1e-4, 1e-4, 1e-4, 1e-4).to(state(1e-4, 2e-4, 1e-4, 1e-4), SMALL)  # memory alone is slower
    assert shift.log == pytest.approx(math.log(2) / 4)
    # The standard deviation of (0, log 2, 0, 0) is log 2 / 2; Student's t with 3 degrees of freedom is 3.182. For one
    # more workload, its variance and that of the mean of four add up.
    assert shift.half_width == pytest.approx(3.182 * math.log(2) / 2 * math.sqrt(1 + 1 / 4), rel=1e-3)
    assert shift.log - shift.half_width < 0.0
    assert shift.log + shift.half_width > math.log(2)


def test_what_few_samples_differ_by_counts_for_the_mean_alone():
    earlier = MachineState(dict.fromkeys(NAMES, 0.0), noise=dict.fromkeys(NAMES, 0.03))
    levels = dict(zip(NAMES, (0.0, 0.1, 0.0, 0.1), strict=True))  # variance 0.01 / 3
    later = [MachineState(levels, noise=dict.fromkeys(NAMES, noise)) for noise in (0.1, 0.04)]
    noisy, exact = (earlier.to(one, SMALL) for one in later)
    assert noisy.half_width == pytest.approx(3.182 * math.sqrt(0.01 / 3 / 4), rel=1e-3)
    really = 0.01 / 3 - 0.03**2 - 0.04**2
    assert exact.half_width == pytest.approx(3.182 * math.sqrt(0.01 / 3 / 4 + really), rel=1e-3)


def test_the_noise_of_a_level_comes_from_every_other_sample():
    logs = np.array([0.0, 0.2, 0.0, 0.2, 0.0, 0.2])
    same, other = np.exp(logs), np.full(6, 1.0)
    noise = MachineState.of_seconds({"product": same, "python": other, "relu_16kb": same[:3]}).noise
    assert noise == {"product": pytest.approx(0.1), "python": 0.0}  # of the third too few samples
    assert MachineState.of_seconds({"single python": same}).noise == {}  # no control workload
    two = [MachineState({"product": 0.0}, noise={"product": 0.1})] * 2
    assert MachineState.usual(two).noise["product"] == pytest.approx(0.1 / math.sqrt(2))
    assert MachineState.usual([*two, *two]).noise["product"] == pytest.approx(0.05 * math.sqrt(math.pi / 2))


FAR_NAMES = ("far weights", "far copy", "far convolutions")


def test_the_larger_a_working_set_the_more_far_memory_counts():
    assert far_share(0) == pytest.approx(0.0, abs=1e-6)
    assert far_share(27) == pytest.approx(0.6)  # about 96 MB, which are 3/5 of 96 + 64
    assert far_share(40) == pytest.approx(1.0, abs=1e-3)
    assert far_share(10**9) == pytest.approx(1.0)  # of a damaged profile


def test_where_far_memory_is_slower_a_small_model_stays_and_a_large_one_follows():
    before = MachineState(dict.fromkeys((*NAMES, *FAR_NAMES), 0.0))
    after = MachineState({**dict.fromkeys(NAMES, 0.0), **dict.fromkeys(FAR_NAMES, 0.5)})
    small, middle, large = (before.to(after, digits) for digits in (SMALL, 27, 40))
    assert [one.log for one in (small, middle, large)] == pytest.approx([0.0, 0.3, 0.5], abs=1e-3)
    assert [one.half_width for one in (small, middle, large)] == pytest.approx([0.0] * 3, abs=1e-12)


def test_workloads_from_far_memory_that_disagree_widen_the_interval_by_their_share():
    before = MachineState(dict.fromkeys((*NAMES, *FAR_NAMES), 0.0))
    after = MachineState({**dict.fromkeys(NAMES, 0.0), **dict(zip(FAR_NAMES, (0.0, 0.3, 0.6), strict=True))})
    # The standard deviation of (0, 0.3, 0.6) is 0.3; Student's t with 3 + 2 degrees of freedom is 2.571.
    assert before.to(after, 27).half_width == pytest.approx(2.571 * 0.6 * 0.3 * math.sqrt(1 + 1 / 3), rel=1e-3)


def test_what_two_states_of_one_machine_cannot_differ_by_does_not_count():
    """Damaged control workloads from far memory made an estimate of 1e45 s."""
    before = MachineState(dict.fromkeys((*NAMES, *FAR_NAMES), 0.0))
    after = MachineState({**dict.fromkeys(NAMES, 0.2), **dict.fromkeys(FAR_NAMES, 690.0)})
    assert before.to(after, 40).log == pytest.approx(0.2)
    assert before.to(MachineState(dict.fromkeys(NAMES, 690.0)), 40) is None


def test_a_state_without_workloads_from_far_memory_is_compared_by_the_others():
    before = MachineState(dict.fromkeys(NAMES, 0.0))
    after = MachineState({**dict.fromkeys(NAMES, 0.2), **dict.fromkeys(FAR_NAMES, 9.0)})
    assert before.to(after, 40).log == pytest.approx(0.2)
    assert not MachineState(dict.fromkeys(FAR_NAMES, 0.0)).known


def test_a_model_whose_own_weights_both_states_have_read_follows_these():
    before = MachineState(dict.fromkeys((*NAMES, *FAR_NAMES, OWN + "9"), 0.0))
    after = MachineState({**dict.fromkeys(NAMES, 0.1), **dict.fromkeys(FAR_NAMES, 3.0), OWN + "9": 0.5})
    assert before.to(after, 27).log == pytest.approx(0.4 * 0.1 + 0.6 * 0.5)
    assert before.to(after, 27).half_width == pytest.approx(0.0, abs=1e-12)
    another = MachineState({**{name: after.levels[name] for name in (*NAMES, *FAR_NAMES)}, OWN + "7": 0.5})
    assert before.to(another, 27).log == pytest.approx(0.4 * 0.1 + 0.6 * 3.0)


def test_the_noise_of_reading_own_weights_is_in_the_interval():
    before = MachineState(dict.fromkeys((*NAMES, OWN + "9"), 0.0), noise={OWN + "9": 0.03})
    after = MachineState(dict.fromkeys((*NAMES, OWN + "9"), 0.0), noise={OWN + "9": 0.04})
    # Student's t with 3 degrees of freedom is 3.182; both errors together are 0.05.
    assert before.to(after, 27).half_width == pytest.approx(3.182 * 0.6 * 0.05, rel=1e-3)


def test_only_workloads_that_both_states_have_count():
    older = MachineState(dict.fromkeys(("product", "copy_4mb", "python"), 0.0))
    newer = MachineState({"product": 1.0, "copy_4mb": 1.0, "python": 1.0, "relu_16kb": 9.0})
    assert older.to(newer, SMALL).log == pytest.approx(1.0)
    assert MachineState({"product": 0.0, "python": 0.0}).to(newer, SMALL) is None


def test_levels_are_means_of_quartiles_which_one_slow_sample_does_not_move():
    samples = np.array([1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1.0, np.nan, 0.0])
    assert MachineState.of_seconds({"product": samples}).levels["product"] == pytest.approx(math.log(1e-4))


def test_models_that_are_watched_are_no_control_workloads():
    assert set(MachineState.of_seconds({"watched one": np.ones(3), "real one": np.ones(3)}).levels) == {"real one"}


def test_the_usual_state_is_the_median_of_the_pools_on_as_many_threads(tmp_path):
    for number, factor in enumerate((1.0, 1.2, 5.0)):
        filled(tmp_path / "p.sqlite", chain("relu", batch=number + 1), {"relu": 1e-5},
               controls=dict.fromkeys(NAMES, factor * 1e-4))  # fmt: skip
    filled(tmp_path / "p.sqlite", chain("relu"), {"relu": 1e-5}, threads=1, controls=dict.fromkeys(NAMES, 7.0))
    with Profile.open(tmp_path / "p.sqlite") as profile:
        usual = usual_state(profile, threads=2)
        assert usual.levels == {name: pytest.approx(math.log(1.2e-4)) for name in NAMES}
        assert not usual_state(profile, threads=3).known


def test_the_usual_state_is_that_of_all_the_time_and_not_of_the_last_minute(tmp_path):
    """A sweep whose last minute met a slower machine predicted 16 % too long for models that had run all the while."""
    for number in range(90):
        filled(tmp_path / "p.sqlite", chain("relu", batch=number + 1), {"relu": 1e-5}, rounds=3,
               controls=dict.fromkeys(NAMES, 1e-4 if number < 50 else 2e-4))  # fmt: skip
    with Profile.open(tmp_path / "p.sqlite") as profile:
        assert len(profile.pools_with_controls(2, 1000)) == 90
        assert usual_state(profile, threads=2).levels == {name: pytest.approx(math.log(1e-4)) for name in NAMES}


def test_pools_are_chosen_evenly():
    assert evenly(range(5)) == [0, 1, 2, 3, 4]
    assert evenly(range(640)) == list(range(0, 640, 10))


@pytest.mark.parametrize("wrong_s", [0.0, -1.0, math.inf, 0.1, 1e-9])
def test_impossible_seconds_are_left_out_by_name(tmp_path, wrong_s):
    """A workload 1000 times as slow in one pool moved an estimate by 80 %."""
    for number, seconds in enumerate((1e-4, 1e-4, wrong_s)):
        filled(tmp_path / "p.sqlite", chain("relu", batch=number + 1), {"relu": 1e-5},
               controls={**dict.fromkeys(NAMES, 1e-4), "python": seconds})  # fmt: skip
    with Profile.open(tmp_path / "p.sqlite") as profile:
        usual = usual_state(profile, threads=2)
        pools = [profile.pool(number) for number in profile.model_pools()]
    assert usual.left_out == ("python",)
    assert usual.levels["python"] == pytest.approx(math.log(1e-4))
    shifts = [MachineState.of_pool(pool, usual).to(usual, SMALL) for pool in pools]
    assert [one.log for one in shifts] == pytest.approx([0.0] * 3)
    assert Machine.between(*pools[:2]).left_out == ("python",)
    assert "impossible seconds do not count: python" in Machine.between(*pools[:2]).note


def test_an_interval_takes_the_error_of_a_shift():
    low_s, high_s = Shift(0.0, math.log(1.04)).widened(0.97, 1.0, 1.03)
    assert (low_s, high_s) == (pytest.approx(0.95), pytest.approx(1.05))  # hypot(3, 4) = 5


def test_the_shift_of_a_sum_is_what_changed_in_the_sum():
    shift = mean_shift([2.0, 1.0], [Shift(math.log(2), math.log(1.1)), None])  # 1 + 1 s before
    assert shift.factor == pytest.approx(1.5)
    assert shift.half_width == pytest.approx(math.log(1 + 0.2 / 3))
    assert mean_shift([1.0], [None]) is None
    assert Shift.from_json(shift.to_json()).log == pytest.approx(shift.log)
