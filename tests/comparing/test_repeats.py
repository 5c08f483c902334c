"""Verdicts on what pairs of processes measured in turn, from simulated profiles."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import BOARD

from opclock.comparing.repeats import repeats_table
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.profiles.profile import Profile

CONDITION = Condition("interleaved", "cpu", 1, 1 << 20)
KERNELS, PROCESSES, BLOCKS, ROUNDS = 40, 5, 4, 10


def written(path, centre, rng, *, noise=0.05, waits=False):
    """A profile of one process: logarithms of seconds around these centres, slower by chance but hardly faster."""
    with Profile.create_or_open(path, BOARD) as profile:
        pool = profile.start_pool(CONDITION, [str(number) for number in range(KERNELS)], [1] * KERNELS, signature="s")
        for _ in range(BLOCKS):
            rounds = centre + rng.exponential(noise, (ROUNDS, KERNELS))
            readings = (
                Readings(*(np.full(ROUNDS, value) for value in (1.0, 0.5, 3.0, 0.5, 0.0, 0.0))) if waits else None
            )
            profile.add_rounds(pool, 1e-4 * np.exp(rounds), np.full(ROUNDS, 1e-6), None, readings)
        profile.end_pool(pool, "contended" if waits else "settled", ["narrow"] * KERNELS, {})
    return path


def profiles(folder, rng, changed, *, layout=0.02, busy=0):
    """Pairs of processes. The machine changes by 20 % between them; each process has a layout."""
    made = []
    for number in range(PROCESSES):
        machine = rng.normal(0, 0.2)
        pair = []
        for side, change in (("a", 0.0), ("b", changed)):
            centre = change + machine + rng.normal(0, layout, KERNELS)
            pair.append(written(folder / f"{number}{side}", centre, rng, waits=side == "b" and number < busy))
        made.append(tuple(pair))
    return made


def test_in_turn_the_machine_falls_on_both_sides(tmp_path):
    changed = np.log(1.1) * (np.arange(KERNELS) % 4 == 0)
    table = repeats_table(profiles(tmp_path, np.random.default_rng(3), changed))
    assert table["machine"].isna().all()
    assert len(table) == KERNELS
    slower = table["op_call"].astype(int) % 4 == 0
    assert (table.loc[slower, "verdict"] == "slower").mean() >= 0.9
    assert (table.loc[~slower, "verdict"] == "same").mean() >= 0.9
    assert not table.loc[~slower, "verdict"].isin(["faster", "slower"]).any()


def test_a_layout_that_moves_a_kernel_is_no_difference(tmp_path):
    tables = []
    for seed in range(3):
        folder = tmp_path / str(seed)
        folder.mkdir()
        tables.append(repeats_table(profiles(folder, np.random.default_rng(seed), 0.0, layout=0.1)))
    assert np.mean([table["verdict"].isin(["faster", "slower"]).mean() for table in tables]) <= 0.01


@pytest.mark.parametrize(("busy", "judged"), [(2, True), (3, False)])
def test_disturbed_processes_do_not_count(tmp_path, busy, judged):
    table = repeats_table(profiles(tmp_path, np.random.default_rng(4), 0.0, layout=0.005, busy=busy))
    if judged:
        assert (table["verdict"] == "same").mean() > 0.9
    else:
        assert set(table["verdict"]) == {"undecided"}
        assert table["reason"].str.startswith("only 2 of 5 pairs of processes are reliable: the second is not").all()
