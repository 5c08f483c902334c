"""Only rounds that are stored and clean count for stopping."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
import torch
from small_model import Classifier

from opclock.board.contention import Contention, Counters
from opclock.timing import sampler as sampler_module
from opclock.timing.inputs import Arguments
from opclock.timing.missing import condition_of
from opclock.timing.sampler import Sampler
from opclock.tracing.recorder import trace


class Counted:
    """A compiled pool that counts the rounds that it keeps for the stopping rule."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self.kept = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiled, name)

    def end_round(self, seconds: Any) -> float:
        self.kept += 1
        return self._compiled.end_round(seconds)

    def discard_last(self, count: int = 1) -> None:
        self.kept -= count
        self._compiled.discard_last(count)


@pytest.fixture
def sampler(profile):
    traced = trace(Classifier().eval(), (torch.randn(1, 3, 16, 16),))
    condition = condition_of(traced, 1)
    made = Sampler(traced, range(len(traced.calls)), Arguments(traced), profile, condition, None)
    made.warm_up()
    made._pool.compiled = Counted(made._pool.compiled)
    return made


def test_the_first_round_of_a_block_does_not_count_for_stopping(sampler):
    sampler.block(3)
    sampler.block(2)
    assert sampler._pool.compiled.kept == sampler.rounds == 5


def test_no_round_of_a_disturbed_reading_counts_for_stopping(sampler, monkeypatch):
    """Of short rounds that shared a reading, only the last was taken back."""
    waited = itertools.count()
    monkeypatch.setattr(Contention, "read", lambda self: Counters(time.perf_counter(), float(next(waited)), 0, 0, 0))
    monkeypatch.setattr(sampler_module, "rounds_together", lambda round_s: 4)
    sampler.block(6)
    assert sampler.rounds == 6
    assert sampler.clean_rounds == sampler._pool.compiled.kept == 0


def test_replays_do_not_count_for_stopping(sampler):
    sampler.block(2)
    assert len(sampler.replay()) == len(sampler.trace.calls)
    assert sampler._pool.compiled.kept == 2
