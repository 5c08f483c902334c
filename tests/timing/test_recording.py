"""Which interrupted pool a new run continues."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.timing import recording
from opclock.timing.recording import PoolRecord
from opclock.timing.rounds import Rounds

CONDITION = Condition("interleaved", "cpu", 1, 20)


def record(profile, calls_per_sample):
    """A pool of one op call, of which this many make a sample."""
    compiled = SimpleNamespace(calls_per_sample=lambda _number: calls_per_sample, add_earlier=lambda *_: None)
    pool = SimpleNamespace(keys=["a"], calls=(), groups={"a": 0}, waiting=[], compiled=compiled)
    return PoolRecord(profile, CONDITION, pool, None, seed=0)


@pytest.fixture
def interrupted(profile):
    """The number of an interrupted pool with one round, four calls a sample."""
    first = record(profile, 4)
    first.begin()
    first.add(Rounds(np.ones((1, 1)), np.ones(1), None), Readings.unknown(1))
    return first.number


def test_a_resumed_pool_has_the_calls_per_sample_of_all_its_rounds(profile, interrupted):
    other = record(profile, 1)
    other.begin()
    assert other.number != interrupted
    assert (profile.pool(interrupted).calls_per_sample, profile.pool(other.number).calls_per_sample) == ((4,), (1,))
    same = record(profile, 4)
    same.begin()
    assert same.number == interrupted
    assert same.rounds == 1


def test_a_resumed_pool_has_the_clock_of_all_its_rounds(profile, interrupted, monkeypatch):
    facts = recording.clock_facts()
    monkeypatch.setattr(recording, "clock_facts", lambda: {**facts, "name": "another clock"})
    other = record(profile, 4)
    other.begin()
    assert other.number != interrupted


def test_the_clock_that_is_stored_is_the_one_that_timed(monkeypatch):
    """Each extension has a clock of its own. Pools are timed by _aten's."""
    timed = SimpleNamespace(
        name="timed", rate_hz=1.0, nominal_hz=1.0, resolution_s=1.0, read_cost_s=1.0, shortest_sample_s=1.0,
        prove=lambda: SimpleNamespace(disagreement=0.5, agrees=False),
    )  # fmt: skip
    monkeypatch.setattr(recording, "load_aten", lambda: SimpleNamespace(process_clock=lambda: timed))
    assert (recording.clock_facts()["name"], recording.clock_facts()["disagreement"]) == ("timed", 0.5)
