"""Verdicts of a gate, from simulated processes."""

from __future__ import annotations

import numpy as np
import pytest

from opclock.gating.verdicts import Difference, Levels, judge

LAYOUT = 0.025  # standard deviation from process to process


def processes(rng, change, *, layout=LAYOUT, waves=1, each=5):
    """Levels of both sides. The machine changes between waves."""
    made = []
    for wave in range(waves):
        machine = rng.normal(0, 0.2)
        for side in (0, 1):
            made += [Levels(side, wave, machine + side * change + rng.normal(0, layout)) for _ in range(each // waves)]
    return made


def words(change, count, *, models=1, seed=1, **how):
    """The verdicts of so many gates."""
    rng = np.random.default_rng(seed)
    gates = [[Difference.of(processes(rng, change, **how)) for _ in range(models)] for _ in range(count)]
    return [verdict.word for gate in gates for verdict in judge(gate, 0.05)]


@pytest.mark.parametrize(("waves", "each"), [(1, 5), (3, 6)])
@pytest.mark.parametrize("layout", [0.005, 0.02, 0.05])
def test_equal_sides_are_hardly_ever_slower(layout, waves, each):
    assert words(0.0, 300, layout=layout, waves=waves, each=each).count("slower") <= 6  # one of fifty


def test_ten_per_cent_are_found():
    found = words(np.log(1.1), 150)
    assert found.count("slower") >= 0.95 * 150
    assert "faster" not in found
    assert "same" not in found


def test_faster_is_not_slower():
    assert words(np.log(0.85), 100).count("faster") >= 95


def test_alike_processes_show_that_sides_are_the_same():
    assert set(words(0.0, 100, layout=0.005)) == {"same"}


def test_a_small_slowdown_closes_no_gate():
    assert words(np.log(1.03), 100, layout=0.005).count("slower") == 0


def test_one_process_of_another_layout_is_no_slowdown():
    level = [Levels(0, 0, 0.0)] * 4 + [Levels(1, 0, value) for value in (0.0, 0.0, 0.0, 0.6)]
    assert [one.word for one in judge([Difference.of(level)], 0.05)] == ["undecided"]


def test_many_models_are_judged_together():
    rng = np.random.default_rng(5)
    gates = [[Difference.of(processes(rng, 0.0)) for _ in range(20)] for _ in range(25)]
    closed = [any(verdict.word == "slower" for verdict in judge(gate, 0.05)) for gate in gates]
    assert sum(closed) <= 1


def test_the_floor_is_what_equal_processes_differ_by():
    level = [Levels(side, 0, value) for side in (0, 1) for value in (0.0, 0.0, 0.1, 0.1)]
    one = Difference.of(level)
    assert one.shift == 0
    assert one.floor == pytest.approx(0.1)
    verdict = judge([one], 0.01)[0]
    assert (verdict.word, verdict.reason[:11]) == ("undecided", "known to ± ")


def test_waves_of_other_minutes_do_not_count_as_differences():
    level = [Levels(side, wave, wave + 0.1 * side) for wave in (0, 1) for side in (0, 1) for _ in range(2)]
    one = Difference.of(level)
    assert one.shift == pytest.approx(0.1)
    assert one.floor == pytest.approx(0)
    assert one.freedom == 4
    assert judge([one], 0.05)[0].word == "slower"
