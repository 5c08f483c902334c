from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from opclock.extension import load_core
from opclock.profiles.condition import Condition
from opclock.profiles.pool import Measurement
from opclock.profiles.statistics import median_interval, rounds_interval

TRIALS = 1000


def as_often(hits: int, share: float) -> bool:
    """Whether so many hits in the trials are within what chance allows in 999 of 1,000 cases."""
    return bool(binom.ppf(0.0005, TRIALS, share) <= hits <= binom.ppf(0.9995, TRIALS, share))


samples = st.lists(st.floats(1e-7, 10.0), min_size=1, max_size=200).map(np.array)


@given(samples)
def test_python_and_cpp_agree(values):
    core = load_core()
    assert median_interval(values) == pytest.approx(core.median_interval(list(values)))
    assert np.median(values) == pytest.approx(core.median(list(values)))


@given(samples)
def test_interval_holds_the_median_of_the_samples(values):
    low, high = median_interval(values)
    assert low <= np.median(values) <= high


def test_interval_covers_the_true_median_as_often_as_it_says():
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(TRIALS):
        low, high = median_interval(random.lognormal(0, 1, 25))
        hits += low <= 1.0 <= high
    # Seven samples are left out on either side: the narrowest that leaves out at most 2.5 % on each.
    assert as_often(hits, 1 - 2 * binom.cdf(7, 25, 0.5))


@given(samples)
def test_interval_of_rounds_holds_their_median(values):
    low, high = rounds_interval(values)
    assert 0 <= low <= np.median(values) <= high


def test_interval_of_rounds_holds_the_true_median_of_autocorrelated_rounds():
    """The machine's state lasts six rounds: order statistics hold the median in two thirds of the cases."""
    random = np.random.default_rng(2)
    hits = naive = 0
    for _ in range(TRIALS):
        rounds = 1 + np.repeat(random.normal(0, 0.05, 32), 6) + random.normal(0, 0.02, 192)
        low, high = rounds_interval(rounds)
        hits += low <= 1 <= high
        low, high = median_interval(rounds)
        naive += low <= 1 <= high
    assert as_often(hits, 0.92)  # 0.920 in 3,000 trials: batches of eight rounds still share a little of the state
    assert as_often(naive, 0.67)


def test_statistics_by_hand():
    measurement = Measurement("k", Condition("in_model", "cpu", 1, 20), np.array([10.0, 20, 30, 40]), np.ones(4), 1, "")
    assert (measurement.median_s, measurement.mad_s, measurement.interval_s) == (25, 10, (10, 40))


def test_no_samples_no_interval():
    with pytest.raises(ValueError, match="no samples"):
        median_interval(np.array([]))
