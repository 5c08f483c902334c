"""Rounds that several processes took in turn: their middle, its interval, and processes whose layouts differ."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import BOARD, INTERLEAVED
from scipy.stats import binom

from opclock.profiles.disturbance import Readings
from opclock.profiles.maintenance import merge
from opclock.profiles.processes import ProcessTimes, differing_layouts, middle, middle_interval, process_times
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import median_interval

TRIALS = 500
PASSES, IN_BLOCK = 6, 10  # blocks of each process, and the rounds in one


def turns(processes):
    """By round: the number of its block and of its process, where processes take turns block by block."""
    blocks = np.repeat(np.arange(PASSES * processes), IN_BLOCK)
    return blocks, blocks % processes + 1


def autoregressive(random, correlation, shape):
    """First-order autoregressive rows with mean 0 and deviation 1."""
    values = random.normal(size=shape)
    for i in range(1, shape[1]):
        values[:, i] = correlation * values[:, i - 1] + np.sqrt(1 - correlation**2) * values[:, i]
    return values


@pytest.mark.parametrize("between", [0.007, 0.02, 0.045])
def test_interval_of_three_processes_holds_the_mean_of_all_in_93_to_98_percent(between):
    """Deviations between processes as they were measured; the machine's states last some blocks, for all processes."""
    random = np.random.default_rng(1)
    blocks, processes = turns(3)
    states = np.repeat(autoregressive(random, 0.5, (TRIALS, blocks[-1] + 1)), IN_BLOCK, axis=1)
    rounds = 1 + 0.01 * states + 0.02 * autoregressive(random, 0.6, (TRIALS, blocks.size))
    rounds += between * random.normal(size=(TRIALS, 3))[:, processes - 1]
    intervals = np.array([middle_interval(one, blocks=blocks, processes=processes) for one in rounds])
    hits = int(np.count_nonzero((intervals[:, 0] <= 1) & (intervals[:, 1] >= 1)))
    assert any(
        binom.ppf(0.0005, TRIALS, share) <= hits <= binom.ppf(0.9995, TRIALS, share) for share in (0.93, 0.95, 0.98)
    )


def test_one_process_has_the_median_and_its_interval_to_the_last_digit():
    random = np.random.default_rng(2)
    samples, blocks = random.lognormal(size=60), np.repeat(np.arange(6), 10)
    for processes in (None, np.full(60, 3)):
        assert middle(samples, processes) == np.median(samples)
        assert middle_interval(samples, blocks=blocks, processes=processes) == median_interval(samples, blocks=blocks)


def test_the_middle_is_the_mean_of_medians_and_leaves_out_who_was_interrupted():
    samples = np.array([1.0] * 6 + [2.0] * 6 + [9.0] * 2)
    numbers = np.repeat([1, 2, 3], [6, 6, 2])
    assert middle(samples, numbers) == 1.5
    assert middle(np.stack([samples, 2 * samples], axis=1), numbers).tolist() == [1.5, 3.0]
    low, high = middle_interval(samples, processes=numbers)
    assert low < 1.0 < 2.0 < high  # two processes say little
    assert middle(samples[-3:], numbers[-3:]) == 5.5  # where all are short, all count


def times(*given):
    return [ProcessTimes(seconds, (0.99 * seconds, 1.01 * seconds), 50, faults) for seconds, faults in given]


def test_processes_with_page_faults_are_told_from_those_without():
    many, few = differing_layouts(times((8.1, 3500), (7.2, 0), (8.0, 3300)))
    assert [one.faults for one in many] == [3500, 3300]
    assert [one.faults for one in few] == [0]


@pytest.mark.parametrize(
    "given",
    [
        [(8.0, 3500), (7.95, 0)],  # no difference beyond noise
        [(7.2, 3500), (8.1, 0)],  # the faults do not explain it
        [(8.1, 1050), (7.2, 1000)],
        [(8.1, 20), (7.2, 0)],
        [(8.1, None), (7.2, None)],
        [(8.1, 3500)],
        [],
    ],
)
def test_other_processes_are_not(given):
    assert differing_layouts(times(*given)) is None


def two_processes(path):
    """A pool in which process 2 took 20 % longer than process 1, with page faults."""
    with Profile.create_or_open(path, BOARD) as profile:
        pool = profile.start_pool(INTERLEAVED, ["a"], [1], signature="s")
        for block in range(6):
            slow, readings = block % 2, Readings.unknown(4)
            readings.wall_s[:], readings.wait_s[:], readings.faults[:] = 1.0, 0.0, 900.0 * slow
            seconds = (1.0 + 0.2 * slow) * np.array([[1.0], [1.01], [0.99], [1.0]])
            profile.add_rounds(pool, seconds, np.ones(4), None, readings, process=1 + slow)
        profile.end_pool(pool, "settled", ["narrow"], {})
    return path


def test_a_profile_knows_which_process_took_a_round_also_after_a_merge(tmp_path):
    with Profile.create_or_open(tmp_path / "merged.sqlite", BOARD) as profile:
        merge(profile, two_processes(tmp_path / "p.sqlite"))
        (number,) = profile.pools(["interleaved"], "cpu", 2)
        pool = profile.pool(number)
        assert pool.processes.tolist() == [1, 1, 1, 1, 2, 2, 2, 2] * 3
        assert pool.faults.tolist() == [0.0] * 4 + [900.0] * 4 + [0.0] * 4 + [900.0] * 4 + [0.0] * 4 + [900.0] * 4
        assert [(one.rounds, one.faults) for one in pool.process_times] == [(12, 0.0), (12, 900.0)]
        assert pool.measurement("a").median_s == pytest.approx(1.1)
        assert pool.flags == ("layout",)
        assert "imprecise" in pool.round_flags


def test_page_faults_that_are_not_known_are_none():
    (only,) = process_times(np.ones(6), np.full(6, np.nan))
    assert (only.rounds, only.faults) == (6, None)
    assert process_times(np.empty(0), np.empty(0)) == ()
