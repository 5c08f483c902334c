"""Verdicts on simulated tables: kernels whose time changes from block to block and from profile to profile."""

from __future__ import annotations

import numpy as np
import pytest

from opclock.profiles.verdicts import Shift, hodges_lehmann, judge

KERNELS, BLOCKS, TABLES = 162, 20, 12  # as many kernels and blocks as the quick preset has
TEN_PERCENT = np.log(1.1)
MACHINE = 0.004  # standard error of the machine's part


def table(random, *, profile, block, changed, jumps):
    """Shifts and which kernels changed. Standard deviations are logarithms; ``jumps`` draws the profile's part."""
    slower = random.random(KERNELS) < changed
    machine = random.normal(0, MACHINE)
    shifts = []
    for number in range(KERNELS):
        first, second = (profile * jumps(random) + random.normal(0, block, BLOCKS) for _ in range(2))
        second = second + machine + TEN_PERCENT * slower[number]
        within = (np.var(first, ddof=1) + np.var(second, ddof=1)) / 2
        shifts.append(Shift(hodges_lehmann(first, second), within, (BLOCKS, BLOCKS), MACHINE))
    return shifts, slower


def normal(random):
    return random.standard_normal()


def heavy(random):
    return random.standard_t(4)


def shares(*, seeds=TABLES, jumps=normal, **sizes):
    """Of the unchanged: the shares that are called changed, and the same. Of the changed: the share that is found."""
    words, slower = [], []
    for seed in range(seeds):
        shifts, truth = table(np.random.default_rng(seed), jumps=jumps, **sizes)
        words += judge(shifts).words
        slower += truth.tolist()
    words, slower = np.array(words), np.array(slower)
    called = np.isin(words, ["faster", "slower"])
    found = np.mean(words[slower] == "slower") if slower.any() else float("nan")
    return np.mean(called[~slower]), np.mean(words[~slower] == "same"), found


@pytest.mark.parametrize("block", [0.01, 0.02, 0.03])
def test_on_a_quiet_board_ten_percent_are_found_and_the_rest_is_the_same(block):
    """Two profiles of one kernel differ by 1 % there, so each is off by 0.7 %."""
    false, same, found = shares(profile=0.007, block=block, changed=0.5)
    assert false <= 0.01
    assert same >= 0.9
    assert found >= 0.9


@pytest.mark.parametrize("jumps", [normal, heavy])
@pytest.mark.parametrize("profile", [0.007, 0.03, 0.05])
@pytest.mark.parametrize("changed", [0.0, 0.1])
def test_kernels_that_jump_from_profile_to_profile_are_not_called_changed(profile, jumps, changed):
    false, _, _ = shares(profile=profile, block=0.03, changed=changed, jumps=jumps)
    assert false <= 0.01


def test_kernels_whose_blocks_differ_more_jump_more():
    """A restless fifth of the kernels must neither be called changed nor hide the change of a quiet one."""
    random, called, found = np.random.default_rng(0), [], []
    for _ in range(TABLES):
        quiet, slower = table(random, profile=0.01, block=0.02, changed=0.3, jumps=normal)
        restless, _ = table(random, profile=0.09, block=0.15, changed=0.0, jumps=normal)
        words = np.array(judge(quiet + restless[: KERNELS // 5]).words)
        called += np.isin(words[KERNELS:], ["faster", "slower"]).tolist()
        found += (words[:KERNELS][slower] == "slower").tolist()
    assert np.mean(called) <= 0.01
    assert np.mean(found) >= 0.7


def test_a_few_rows_are_judged_by_the_usual_spread():
    shifts, _ = table(np.random.default_rng(0), profile=0.0, block=0.001, changed=0.0, jumps=normal)
    judged = judge(shifts[:5])
    assert np.all(judged.high - judged.low > 0.1)


def test_one_row_alone_must_be_far_off():
    far, near = (Shift(value, 1e-6, (20, 20)) for value in (0.3, 0.05))
    assert [judge([one]).words for one in (far, near)] == [["slower"], ["undecided"]]
