from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import BOARD, chain, filled

from opclock.errors import ProfileError
from opclock.profiles.comparison import compare
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.profiles.profile import Profile
from opclock.profiles.verdicts import adjusted, hodges_lehmann

CONDITION = Condition("interleaved", "cpu", 1, 1 << 20)
POOLS, KERNELS, BLOCKS, ROUNDS = 6, 27, 4, 6
WORKLOADS = "abcdefg"


def write(path, rng, *, machine=0.0, spread=0.02, block=0.02, noise=0.02, changed=0.0, controls=True):
    """A profile with the machine's state, a spread from pool to pool, and blocks whose rounds are alike (logarithms).

    Half of the kernels are slower by ``changed``.
    """
    with Profile.create_or_open(path, BOARD) as profile:
        for number in range(POOLS):
            state = machine + rng.normal(0, 0.01)
            keys = [f"{number}.{kernel}" for kernel in range(KERNELS)]
            pool = profile.start_pool(CONDITION, keys, [1] * KERNELS, signature=str(number))
            own = state + rng.normal(0, spread, KERNELS) + changed * (np.arange(KERNELS) % 2)
            for _ in range(BLOCKS):
                rounds = own + rng.normal(0, block, KERNELS) + rng.normal(0, noise, (ROUNDS, KERNELS))
                sampled = {name: 1e-3 * np.exp(state + rng.normal(0, 0.02)) for name in WORKLOADS} if controls else None
                profile.add_rounds(pool, 1e-4 * np.exp(rounds), np.full(ROUNDS, 1e-6), None, controls=sampled)
            profile.end_pool(pool, "settled", ["narrow"] * KERNELS, {})
    return path


def compared(first, second):
    with Profile.open(first) as one, Profile.open(second) as other:
        return compare(one, other)


def shares(folder, seeds, second, **both):
    """The share of each verdict over pairs of profiles, by whether the kernel was changed."""
    counts = {0: [], 1: []}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        pair = (write(folder / f"{seed}a", rng, **both), write(folder / f"{seed}b", rng, **{**both, **second}))
        for key, verdict in compared(*pair)[["op_call", "verdict"]].itertuples(index=False):
            counts[int(key.split(".")[1]) % 2].append(verdict)
    return [{word: words.count(word) / len(words) for word in ("same", "faster", "slower", "undecided")}
            for words in counts.values()]  # fmt: skip


def test_two_profiles_of_one_machine_at_different_minutes_are_the_same(tmp_path):
    for share in shares(tmp_path, 4, {"machine": 0.15}, spread=0.005, block=0.01):
        assert share["faster"] + share["slower"] <= 0.01
        assert share["same"] > 0.8


def test_a_spread_from_pool_to_pool_is_no_difference(tmp_path):
    for share in shares(tmp_path, 4, {"machine": -0.1}, spread=0.04):
        assert share["faster"] + share["slower"] <= 0.01


def test_ten_percent_of_half_the_kernels_are_found(tmp_path):
    unchanged, changed = shares(tmp_path, 4, {"machine": 0.1, "changed": 0.0953}, spread=0.005, block=0.01)
    assert changed["slower"] >= 0.9
    assert unchanged["slower"] + unchanged["faster"] <= 0.02


def test_a_profile_is_the_same_as_itself(tmp_path):
    path = write(tmp_path / "a", np.random.default_rng(0), noise=0.5)
    table = compared(path, path)
    assert set(table["verdict"]) == {"same"}
    assert set(table["ratio"]) == {1.0}


def test_without_controls_a_shift_of_the_whole_table_may_be_the_machine(tmp_path):
    rng = np.random.default_rng(1)
    pair = [write(tmp_path / str(shift), rng, machine=shift, controls=False) for shift in (0.0, 0.1)]
    table = compared(*pair)
    assert set(table["verdict"]) == {"undecided"}
    assert table["reason"].str.contains("no control workloads").all()
    assert table["machine"].isna().all()


def test_zero_seconds_divide_nothing(tmp_path):
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        with Profile.create_or_open(path, BOARD) as profile:
            pool = profile.start_pool(CONDITION, ["zero", "one"], [1, 1], signature="s")
            profile.add_rounds(pool, np.tile([0.0, 1.0], (6, 1)), np.ones(6), None)
            profile.end_pool(pool, "settled", ["narrow"] * 2, {})
    table = compared(*paths).set_index("op_call")
    assert table.loc["zero", "verdict"] == "undecided"
    assert table.loc["zero", "reason"] == "the clock saw no time pass"


def test_noise_decides_nothing(tmp_path):
    rng = np.random.default_rng(2)
    table = compared(*(write(tmp_path / name, rng, noise=1.0) for name in "ab"))
    assert (table["verdict"] == "undecided").mean() > 0.98
    assert table["reason"].str.contains("known to").mean() > 0.98


def test_slow_rounds_of_other_programs_are_no_difference(tmp_path):
    """In the second half of the rounds of one profile everything takes half as long again."""
    rng, paths = np.random.default_rng(5), [tmp_path / name for name in "ab"]
    keys = [str(kernel) for kernel in range(KERNELS)]
    for slow, path in ((0.0, paths[0]), (0.4, paths[1])):
        with Profile.create_or_open(path, BOARD) as profile:
            pool = profile.start_pool(CONDITION, keys, [1] * KERNELS, signature="s")
            for _ in range(20):
                rounds = rng.normal(0, 0.01, (ROUNDS, KERNELS)) + slow * (np.arange(ROUNDS) % 2)[:, None]
                controls = dict.fromkeys(WORKLOADS, 1e-3)
                profile.add_rounds(pool, 1e-4 * np.exp(rounds), np.full(ROUNDS, 1e-6), None, controls=controls)
            profile.end_pool(pool, "settled", ["narrow"] * KERNELS, {})
    table = compared(*paths)
    assert np.all(table["second_s"] > 1.1 * table["first_s"])
    assert set(table["verdict"]) == {"same"}


def test_a_contended_measurement_is_undecided_and_not_missing(tmp_path):
    """Two profiles of contended pools "had no op call in common"."""
    rounds, paths = 6, (tmp_path / "a", tmp_path / "b")
    waited = Readings(*(np.full(rounds, value) for value in (1.0, 0.5, 3.0, 0.5, 0.0, 0.0)))
    for seconds, path in enumerate(paths, start=1):
        with Profile.create_or_open(path, BOARD) as profile:
            pool = profile.start_pool(CONDITION, ["one"], [1], signature="s")
            profile.add_rounds(pool, np.full((rounds, 1), float(seconds)), np.ones(rounds), None, waited)
            profile.end_pool(pool, "contended", ["time_cap"], {})
    table = compared(*paths)
    assert list(table["verdict"]) == ["undecided"]
    assert table["reason"].str.contains("contended").all()


def test_a_comparison_of_two_profiles(tmp_path):
    one, two = tmp_path / "one.sqlite", tmp_path / "two.sqlite"
    filled(one, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 1e-3}, noise=0.001)
    filled(two, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 2e-3}, noise=0.001, board=replace(BOARD, model="another"))
    with Profile.open(one) as first, Profile.open(two) as second:
        table = compare(first, second)
    assert sorted(table["verdict"]) == ["same", "slower"]
    filled(tmp_path / "three.sqlite", chain("gelu"), {"gelu": 1e-3})
    with Profile.open(one) as first, Profile.open(tmp_path / "three.sqlite") as third:
        with pytest.raises(ProfileError, match="no op call in common"):
            compare(first, third)


def test_adjusted_probabilities_by_hand():
    np.testing.assert_allclose(adjusted(np.array([0.04, 0.01, 0.03, 0.5])), [0.16 / 3, 0.04, 0.16 / 3, 0.5])


def test_shift_by_hand():
    assert hodges_lehmann(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 300.0])) == pytest.approx(1.0)
