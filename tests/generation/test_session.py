"""How the programs of a language model take turns."""

from __future__ import annotations

import math
from unittest.mock import Mock

from opclock.generation import session


class ScriptedSampler:
    """Rounds of 10 ms; it notes how many each block has."""

    contended, settled = False, False

    def __init__(self, clock):
        self.clock, self.rounds, self.blocks = clock, 0, []

    def usual_round_s(self):
        return 0.010

    def block(self, rounds):
        self.blocks.append(rounds)
        self.rounds += rounds
        self.clock.perf_counter.return_value += 0.010 * rounds
        return 0.010


def test_a_turn_has_its_rounds_in_a_row(monkeypatch):
    """After each of many short blocks the profile was written, and the host's work took longer for some rounds."""
    monkeypatch.setattr(session, "time", clock := Mock(**{"perf_counter.return_value": 0.0}))
    kernels = object.__new__(session._Kernels)
    kernels._setup, kernels._shortest_s, kernels._spent_s = Mock(max_s=None), math.inf, 0.0
    kernels.sampler = ScriptedSampler(clock)
    for _ in range(session.PASSES - 1):
        kernels.turn()
    assert kernels.sampler.blocks == [50] * (session.PASSES - 1)  # half a second of each turn
