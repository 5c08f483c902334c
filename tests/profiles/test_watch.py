"""Readings around the rounds of a block, with the kernel's counters scripted."""

from __future__ import annotations

import pytest

from opclock.board.contention import Contention, Counters
from opclock.profiles.watch import Watch


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
        watch.round_ended()
        disturbed.append(watch.last_disturbed)
    readings = watch.block_ended()
    assert disturbed == [True, False]
    assert readings.wall_s.tolist() == [1.0, 3.0]
    assert readings.wait_s.tolist() == [0.5, 0.0]
    assert readings.switches.tolist() == [3, 0]
    assert readings.steal_s.tolist() == [0.25, 0.75]  # one second of four
