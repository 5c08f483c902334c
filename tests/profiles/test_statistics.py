from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from opclock.profiles.condition import Condition
from opclock.profiles.pool import Measurement
from opclock.profiles.statistics import median_interval, sums_over_medians

TRIALS = 1000


def as_often(hits: int, share: float) -> bool:
    """Whether so many hits in the trials are within what chance allows in 999 of 1,000 cases."""
    return bool(binom.ppf(0.0005, TRIALS, share) <= hits <= binom.ppf(0.9995, TRIALS, share))


samples = st.lists(st.floats(1e-7, 10.0), min_size=1, max_size=200).map(np.array)


@given(samples)
def test_interval_holds_the_median_of_the_samples(values):
    low, high = median_interval(values)
    assert low <= np.median(values) <= high


def autoregressive(random, correlation, count):
    """First-order autoregressive values with mean 0 and deviation 1."""
    values = random.normal(size=count)
    for i in range(1, count):
        values[i] = correlation * values[i - 1] + np.sqrt(1 - correlation**2) * values[i]
    return values


def states(random, length, count):
    """The state of the machine lasts this many rounds and has four fifths of the variance."""
    begin = random.integers(length)
    state = np.repeat(random.normal(size=count // length + 2), length)[begin : begin + count]
    return np.sqrt(0.8) * state + np.sqrt(0.2) * random.normal(size=count)


@pytest.mark.parametrize(
    "draw",
    [
        *(lambda random, phi=phi: autoregressive(random, phi, 200) for phi in (0.3, 0.6, 0.9)),
        *(lambda random, length=length: states(random, length, 200) for length in (5, 6, 10)),
        lambda random: states(random, 20, 700),
    ],
)
def test_interval_holds_the_true_median_of_correlated_rounds_in_93_to_97_percent(draw):
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(TRIALS):
        low, high = median_interval(1 + 0.02 * draw(random))
        hits += low <= 1 <= high
    assert any(as_often(hits, share / 100) for share in range(93, 98))


@pytest.mark.parametrize("blocks", [4, 12, 40])
def test_interval_of_few_blocks_knows_that_their_rounds_share_a_state(blocks):
    random = np.random.default_rng(2)
    numbers = np.repeat(np.arange(blocks), 10)
    hits = 0
    for _ in range(TRIALS):
        rounds = 1 + 0.05 * random.normal(size=blocks)[numbers] + 0.01 * random.normal(size=numbers.size)
        low, high = median_interval(rounds, blocks=numbers)
        hits += low <= 1 <= high
    assert hits >= 0.93 * TRIALS


def test_equal_samples_have_no_width():
    assert median_interval(np.full(30, 2.0)) == (2.0, 2.0)


def test_one_sample_is_both_ends():
    assert median_interval(np.array([2.0])) == (2.0, 2.0)


def test_block_numbers_must_fit():
    with pytest.raises(ValueError, match="2 block numbers for 3 samples"):
        median_interval(np.ones(3), blocks=np.zeros(2, int))


def test_statistics_by_hand():
    measurement = Measurement("k", Condition("in_model", "cpu", 1, 20), np.array([10.0, 20, 30, 40]), np.ones(4), 1, "")
    assert (measurement.median_s, measurement.mad_s) == (25, 10)
    assert 0 <= measurement.interval_s[0] <= 10
    assert measurement.interval_s[1] >= 40  # four samples say little: wider than from the smallest to the largest


def test_no_samples_no_interval():
    with pytest.raises(ValueError, match="no samples"):
        median_interval(np.array([]))


def test_blocks_with_the_median_in_their_middle_have_an_interval():
    """Half of each block is below the median, so that the blocks do not differ; its samples do."""
    samples = np.tile([1.0, 5.0, 0.5, 9.0], 6)
    low, high = median_interval(samples, blocks=np.repeat(np.arange(6), 4))
    assert low < 2.0
    assert high > 4.0


def test_a_slow_round_counts_in_sums_and_not_in_medians_of_its_columns():
    """Predictions learnt from medians of single op calls were 1 to 6 % below the rounds of measured models."""
    seconds = np.array([[1.0, 2.0, 9.0], [2.0, 9.0, 1.0], [9.0, 1.0, 2.0]])
    assert sums_over_medians(seconds) == 12.0 / 6.0
    assert sums_over_medians(np.ones((4, 3))) == 1.0
    assert sums_over_medians(np.zeros((4, 3))) == 1.0
