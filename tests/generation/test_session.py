"""How the programs of a language model take turns."""

from __future__ import annotations

import math
from unittest.mock import Mock

import pytest

from opclock.generation import session


class ScriptedSampler:
    """Rounds of 10 ms, after a warm-up of 0.4 s; it notes how many each block has. Each takes longer by a factor."""

    contended, settled = False, False

    def __init__(self, clock, factor=1.0):
        self.clock, self.factor, self.rounds, self.blocks = clock, factor, 0, []

    def usual_round_s(self):
        return 0.010

    def block(self, rounds):
        self.blocks.append(rounds)
        self.rounds += rounds
        self.clock.perf_counter.return_value += 0.4 + 0.010 * rounds * self.factor
        return 0.010


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(session, "time", scripted := Mock(**{"perf_counter.return_value": 0.0}))
    return scripted


def kernels_of(clock, *, is_prompt, factor=1.0):
    kernels = object.__new__(session._Kernels)
    kernels._warm_up = Mock(last_s=0.4)
    kernels._setup, kernels._shortest_s, kernels._spent_s = Mock(max_s=None), math.inf, 0.0
    kernels.sampler, kernels.is_prompt = ScriptedSampler(clock, factor), is_prompt
    return kernels


class ScriptedGeneration:
    """A quarter of its generations count in the half with fewer of them."""

    def __init__(self):
        self.halves = []

    def block(self, half):
        self.halves.append(half)

    @property
    def clean_runs(self):
        return len(self.halves) // 4


def test_a_turn_has_its_rounds_in_a_row(clock):
    """After each of many short blocks the profile was written, and the host's work took longer for some rounds."""
    kernels = kernels_of(clock, is_prompt=True)
    for _ in range(session.PASSES):
        assert not kernels.is_over
        kernels.turn()
    assert kernels.sampler.blocks == [50] * session.PASSES  # half a second of each turn


def take_turns(kernels, children=()):
    session._take_turns(kernels, children, Mock(seed=0))
    return [len(one.sampler.blocks) for one in kernels]


def test_rounds_that_others_slow_down_count_as_long_as_they_take(clock):
    """They counted as the shortest: a busy machine measured a tiny model for six minutes."""
    kernels = kernels_of(clock, is_prompt=True, factor=4.0)
    while not kernels.is_over:
        kernels.turn()
    assert len(kernels.sampler.blocks) == 2  # of two seconds each


def test_without_real_generation_kernels_end_when_they_are_settled(clock, monkeypatch):
    monkeypatch.setattr(ScriptedSampler, "settled", True)
    kernels = [kernels_of(clock, is_prompt=True), kernels_of(clock, is_prompt=False)]
    assert take_turns(kernels) == [1, 1]


def test_kernels_go_on_for_as_long_as_real_generation_takes(clock):
    """They once ended in the first half of it, while the machine went on to change."""
    kernels = [
        kernels_of(clock, is_prompt=True),
        kernels_of(clock, is_prompt=False),
        kernels_of(clock, is_prompt=False),
    ]
    generation = ScriptedGeneration()
    blocks = take_turns(kernels, [generation])
    assert blocks == [len(generation.halves)] * 3
    assert len(generation.halves) == 2 * session.PASSES  # in each half three generations without disturbance


def test_kernels_that_others_slow_down_end_before_real_generation(clock):
    """A busy machine measured a tiny model for eight minutes."""
    kernels, generation = [kernels_of(clock, is_prompt=True, factor=6.0)], ScriptedGeneration()
    assert take_turns(kernels, [generation]) == [3]  # of three seconds each, in place of half a second
    assert len(generation.halves) == 2 * session.PASSES


def test_the_tokens_of_a_pass_follow_each_other(clock):
    """Only the first of them has to warm the weights up."""
    kernels, order = [kernels_of(clock, is_prompt=number == 0) for number in range(4)], []
    for number, one in enumerate(kernels):
        one.turn = lambda number=number: order.append(number)
    generation = ScriptedGeneration()
    generation.block = lambda half: (ScriptedGeneration.block(generation, half), order.append("real"))
    for one in kernels:
        one.sampler.rounds, one._spent_s = 100, 3.0
    take_turns(kernels, [generation])
    passes = [order[start : start + 5] for start in range(0, len(order), 5)]
    for one in passes:
        places = [one.index(number) for number in (1, 2, 3)]
        assert max(places) - min(places) == 2
    assert len({tuple(one) for one in passes}) > 1  # in another order each time
