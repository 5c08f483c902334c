"""Readings around the rounds of a block, with the kernel's counters scripted."""

from __future__ import annotations

import pytest

from opclock.board.contention import Contention, Counters
from opclock.profiles.watch import Watch, rounds_together


@pytest.fixture
def counted(monkeypatch):
    """The kernel counts in turn: before, after each of two rounds, and after the block."""
    counters = iter([
        Counters(1.0, 0.0, 0, 0.0, 5.0),
        Counters(2.0, 0.5, 3, 1.0, 5.0),
        Counters(5.0, 0.5, 3, 4.0, 5.0),
        Counters(5.0, 0.5, 3, 4.0, 6.0),
    ])  # fmt: skip
    monkeypatch.setattr(Contention, "read", lambda self: next(counters))
    return Contention()


def test_each_round_has_what_was_counted_around_it(counted):
    watch = Watch(counted, 3)
    disturbed = []
    for _ in range(2):
        watch.rounds_ended()
        disturbed.append(watch.last_disturbed)
    readings = watch.block_ended()
    assert disturbed == [True, False]
    assert readings.wall_s.tolist() == [1.0, 3.0]
    assert readings.wait_s.tolist() == [0.5, 0.0]
    assert readings.switches.tolist() == [3, 0]
    assert readings.steal_s.tolist() == [0.25, 0.75]  # one second of four


def test_rounds_that_share_a_reading_share_what_was_counted(counted):
    watch = Watch(counted, 5)
    watch.rounds_ended(4)
    watch.rounds_ended()
    readings = watch.block_ended()
    assert readings.wall_s.tolist() == [0.25, 0.25, 0.25, 0.25, 3.0]
    assert readings.wait_s.tolist() == [0.125, 0.125, 0.125, 0.125, 0.0]


@pytest.mark.parametrize(("round_s", "together"), [(3e-5, 333), (1.5e-3, 6), (6e-3, 1), (0.5, 1)])
def test_short_rounds_share_a_reading(round_s, together):
    assert rounds_together(round_s) == together
