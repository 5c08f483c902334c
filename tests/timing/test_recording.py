"""Which interrupted pool a new run continues."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from opclock.errors import ProfileError
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.timing import recording
from opclock.timing.recording import PoolRecord
from opclock.timing.rounds import Rounds

CONDITION = Condition("interleaved", "cpu", 1, 20)


def record(profile, calls_per_sample):
    """A pool of one op call, of which this many make a sample."""
    calls = [calls_per_sample]
    compiled = SimpleNamespace(calls_per_sample=calls.__getitem__, set_calls_per_sample=calls.__setitem__,
                               add_earlier=lambda *_: None)  # fmt: skip
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
    """On a busy machine the next warm-up decided otherwise: the pool began anew, and its rounds were lost."""
    other = record(profile, 1)
    other.begin()
    assert (other.number, other.rounds) == (interrupted, 1)
    assert other._pool.compiled.calls_per_sample(0) == 4
    assert profile.pool(interrupted).calls_per_sample == (4,)


def test_calls_per_sample_that_no_warm_up_decides_are_damage(profile, interrupted):
    other = record(profile, 1)

    def refuse(_number, _calls):
        raise ValueError("a sample makes 1 to 4096 calls, not 0")

    other._pool.compiled.set_calls_per_sample = refuse
    with pytest.raises(ProfileError, match=r"is damaged \(a sample makes 1 to 4096 calls, not 0\): restore a copy"):
        other.begin()


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
