"""Doubling batches, and the smallest that reaches a share of the best throughput."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opclock.benchmarking.batch_scaling import BatchCurve, BatchPoint, doubled, together

RATES = st.lists(st.floats(1.0, 1e6), min_size=1, max_size=9)


def curve(rates):
    points = [BatchPoint(2**i, 2**i / rate, 0.9 * 2**i / rate, 1.1 * 2**i / rate) for i, rate in enumerate(rates)]
    return BatchCurve("m", "eager", "measured", tuple(points))


def test_by_hand():
    by_hand = curve([50, 80, 94, 96, 100])
    assert by_hand.smallest(0.95) == 8
    assert by_hand.smallest(0.94) == 4
    assert by_hand.smallest(1.0) == 16
    assert by_hand.best_per_s == 100
    assert BatchCurve("m", "r", "measured", ()).smallest(0.95) is None


@given(RATES, st.floats(0.01, 1.0))
def test_the_smallest_batch_reaches_the_share_and_no_smaller_one_does(rates, share):
    measured = curve(rates)
    smallest = measured.smallest(share)
    reached = {point.batch: point.throughput_per_s >= share * measured.best_per_s for point in measured.points}
    assert reached[smallest]
    assert not any(reached[batch] for batch in reached if batch < smallest)


@given(RATES, st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_larger_share_never_needs_a_smaller_batch(rates, one, other):
    low, high = sorted((one, other))
    assert curve(rates).smallest(low) <= curve(rates).smallest(high)


def test_doubling_stops_after_two_that_bring_nothing():
    rates = {1: 10.0, 2: 15.0, 4: 15.1, 8: 14.0, 16: 99.0}
    assert doubled(rates.__getitem__, 64) == ([1, 2, 4, 8], "larger batches add no throughput")


def test_one_that_brings_nothing_is_not_the_end():
    rates = {1: 10.0, 2: 10.0, 4: 15.0, 8: 15.0, 16: 15.0}
    assert doubled(rates.__getitem__, 64) == ([1, 2, 4, 8, 16], "larger batches add no throughput")


def test_doubling_stops_where_a_batch_cannot_be_run():
    assert doubled(lambda batch: None if batch > 2 else float(batch), 64) == ([1, 2], "batch 4 could not be run")
    assert doubled(lambda batch: None, 64) == ([], "batch 1 could not be run")


def test_doubling_stops_at_the_most():
    assert doubled(float, 8) == ([1, 2, 4, 8], "batch 8 is the largest to try")


def test_intervals_of_throughput_turn_around():
    table = together([curve([10.0])])
    assert table["throughput_low_per_s"][0] < 10 < table["throughput_high_per_s"][0]
    assert BatchPoint(1, 1.0, 0.0, 2.0).throughput_interval_per_s == (0.5, float("inf"))
