"""What watching added is taken off: hand-computed small models."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import BOARD, chain, filled

from opclock.estimation.estimate import COMPOSITION_DEVIATION, estimate
from opclock.estimation.watching import Watching, unwatched
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import TWO_SIDED_95

SECONDS = {"relu": 1e-5, "tanh": 1e-5, "view": 1e-6}
TRACE = chain("relu", "view", "tanh")
# 10 op calls took 8 µs more and 5 took 4 µs more, so 0.8 µs each.
SMALL_MODELS = {"first": {"op_calls": 10}, "second": {"op_calls": 5}}
WATCHED = {"real first": 30e-6, "watched first": 38e-6, "real second": 20e-6, "watched second": 24e-6}


def profile_with(path, *, controls=WATCHED, small_models=SMALL_MODELS, host_s=5e-6, rounds=20):
    filled(
        path, TRACE, SECONDS, host_s=host_s, rounds=rounds, controls=controls, context={"small_models": small_models}
    )
    return Profile.open(path)


def watching(path, **options):
    with profile_with(path, **options) as profile:
        return Watching.of(profile.pool(1))


def test_each_op_call_costs_the_same(tmp_path):
    found = watching(tmp_path / "p.sqlite")
    assert found.call_s == pytest.approx(0.8e-6)
    assert found.error == pytest.approx(0)
    assert found.of_kind_s("ReLU/aten::relu_") == found.call_s
    assert found.of_kind_s("end") == 0


def test_models_that_disagree_are_fitted_by_least_squares(tmp_path):
    found = watching(tmp_path / "p.sqlite", controls=WATCHED | {"watched second": 22e-6})
    assert found.call_s == pytest.approx((10 * 8e-6 + 5 * 2e-6) / (10**2 + 5**2))


def test_a_profile_that_counts_views_apart_is_read_alike(tmp_path):
    apart = {"first": {"views": 2, "others": 8}, "second": {"views": 5, "others": 0}}
    assert watching(tmp_path / "p.sqlite", small_models=apart).call_s == pytest.approx(0.8e-6)


def test_one_disturbed_difference_of_many_widens_nothing(tmp_path):
    """With the interval of a median of correlated samples, half of what was taken off was in doubt."""
    path = tmp_path / "p.sqlite"
    filled(path, TRACE, SECONDS, rounds=1, context={"small_models": {"one": {"op_calls": 10}}})
    with Profile.create_or_open(path, BOARD) as profile:
        for watched_us in (38, 39, 37, 38, 39, 37, 200):
            rounds = np.full((1, 3), 1e-5), np.ones(1), np.full((1, 4), 5e-6)
            profile.add_rounds(1, *rounds, controls={"real one": 30e-6, "watched one": watched_us * 1e-6})
        found = Watching.of(profile.pool(1))
    assert found.call_s == pytest.approx(0.8e-6)
    # The median absolute deviation is 1 µs: 1.4826 * sqrt(pi / 2) / sqrt(7) = 0.70 µs, times 1.96, of 8 µs.
    assert found.error == pytest.approx(0.172, abs=0.001)


def test_with_several_threads_the_small_models_with_one_thread_say_it(tmp_path):
    single = {"single first": 32e-6, "single second": 21e-6}
    found = watching(tmp_path / "p.sqlite", controls=WATCHED | single)
    assert found.call_s == pytest.approx(0.6e-6)


def test_an_estimate_is_without_it(tmp_path):
    with profile_with(tmp_path / "p.sqlite") as profile:
        done = estimate(TRACE, profile, threads=2)
    assert done.total_s == pytest.approx(21e-6 + 4 * 5e-6 - 3 * 0.8e-6)
    assert [part.host_s for part in done.parts] == pytest.approx([4.2e-6, 4.2e-6, 4.2e-6])
    assert done.host_tail_s == pytest.approx(5e-6)


def test_the_table_by_kind_of_call_is_without_it(tmp_path):
    with profile_with(tmp_path / "p.sqlite") as profile:
        done = estimate(chain("tanh", "relu"), profile, threads=2)
    assert "host_by_table" in done.flags
    assert done.host_s == pytest.approx(2 * 4.2e-6 + 5e-6)


def test_no_host_work_becomes_negative(tmp_path):
    with profile_with(tmp_path / "p.sqlite", host_s=0.6e-6) as profile:
        assert unwatched(profile.pool(1))[0].tolist()[0] == pytest.approx([0, 0, 0, 0.6e-6])


def test_few_samples_widen_the_interval_by_all_that_is_taken_off(tmp_path):
    with profile_with(tmp_path / "p.sqlite", rounds=2) as profile:
        few = estimate(TRACE, profile, threads=2)
    composition_s = TWO_SIDED_95 * COMPOSITION_DEVIATION * few.total_s
    assert few.ci_high_s - few.total_s == pytest.approx(math.hypot(2.4e-6, composition_s))


@pytest.mark.parametrize(
    ("controls", "small_models"),
    [
        ({"product": 1e-4}, {}),  # a profile of an older opclock
        (WATCHED, {}),
        ({"real first": 30e-6}, SMALL_MODELS),  # another program disturbed the other half
        ({"real first": 30e-6, "watched first": 29e-6}, SMALL_MODELS),
        (dict.fromkeys(WATCHED, math.inf), SMALL_MODELS),  # a damaged profile
    ],
)
def test_nothing_is_taken_off_where_nothing_was_measured(tmp_path, controls, small_models):
    assert watching(tmp_path / "p.sqlite", controls=controls, small_models=small_models) == Watching()


def test_small_models_are_no_control_workloads(tmp_path):
    with profile_with(tmp_path / "p.sqlite", controls=WATCHED | {"product": 1e-4}) as profile:
        pool = profile.pool(1)
    assert set(pool.controls) == {"product"}
    assert set(pool.watching) == set(WATCHED)
