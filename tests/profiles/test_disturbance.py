"""Which rounds are disturbed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from opclock.profiles.disturbance import MIN_CLEAN, Readings, contended, disturbed, kept


def readings(**columns: list[float]) -> Readings:
    count = len(next(iter(columns.values())))
    known = {name: np.array(values, dtype=float) for name, values in columns.items()}
    return Readings(*(known.get(name, np.full(count, math.nan)) for name in Readings.__dataclass_fields__))


def test_waiting_for_over_one_percent_disturbs():
    rounds = readings(wall_s=[1, 1, 1], wait_s=[0, 0.009, 0.011])
    assert disturbed(rounds).tolist() == [False, False, True]


def test_a_lost_core_without_a_long_wait_disturbs_only_where_waits_are_unknown():
    assert disturbed(readings(wall_s=[1, 1], wait_s=[0, 0], switches=[3, 0])).tolist() == [False, False]
    assert disturbed(readings(wall_s=[1, 1], switches=[3, 0])).tolist() == [True, False]


def test_a_process_that_hardly_ran_was_disturbed_where_waits_are_unknown():
    assert disturbed(readings(wall_s=[1, 1], cpu_s=[0.5, 1.9])).tolist() == [True, False]


def test_a_coarse_cpu_clock_does_not_disturb_short_rounds():
    assert not disturbed(readings(wall_s=[0.002] * 5, cpu_s=[0, 0, 0, 0, 0.01])).any()


def test_stolen_time_disturbs_whatever_the_threads_waited():
    rounds = readings(wall_s=[1, 1], wait_s=[0, 0], steal_s=[0.04, 0.06])
    assert disturbed(rounds).tolist() == [False, True]


def test_unknown_is_clean():
    assert not disturbed(Readings.unknown(4)).any()


def test_stolen_time_is_shared_among_the_rounds_of_a_block():
    rounds = readings(wall_s=[1, 3])
    rounds.share_steal(8.0, 2.0)
    assert rounds.steal_s.tolist() == [0.25, 0.75]


def test_disturbed_rounds_are_left_out():
    rounds = readings(wall_s=[1] * 8, wait_s=[0, 0, 0.5, 0, 0, 0.5, 0, 0])
    assert kept(rounds).tolist() == [True, True, False, True, True, False, True, True]


@pytest.mark.parametrize(("clean", "rounds", "expected"), [
    (0, 0, False), (2, 2, False), (1, 2, True), (4, 9, True), (5, 9, False), (5, 50, False),
    (16, 200, True),  # 8 %: enough clean ones for a median, which was far from that of a quiet machine
    (20, 200, False),
])  # fmt: skip
def test_too_few_clean_rounds_are_few_or_a_small_share(clean, rounds, expected):
    assert contended(clean, rounds) == expected


def test_where_too_few_are_clean_those_that_waited_least_count_too():
    rounds = readings(wall_s=[1] * 7, wait_s=[0.9, 0.2, 0, 0.8, 0.3, 0.1, 0])
    assert kept(rounds).sum() == MIN_CLEAN
    assert kept(rounds).tolist() == [False, True, True, False, True, True, True]


def test_one_round_is_filled_in_from_the_counters_around_it():
    rounds = Readings.unknown(2)
    rounds.set(slice(1, 2), (1.0, 0.5, 3, 0.2, math.nan, 100), (1.5, 0.6, 4, 0.4, math.nan, 130))
    assert rounds.wall_s[1] == pytest.approx(0.5)
    assert rounds.wait_s[1] == pytest.approx(0.1)
    assert rounds.switches[1] == 1
    assert rounds.faults[1] == 30
    assert math.isnan(rounds.wall_s[0])
