"""Only rounds that are stored and clean count for stopping."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_model import Classifier

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

    def discard_last(self) -> None:
        self.kept -= 1
        self._compiled.discard_last()


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


def test_replays_do_not_count_for_stopping(sampler):
    sampler.block(2)
    assert len(sampler.replay()) == len(sampler.trace.calls)
    assert sampler._pool.compiled.kept == 2
