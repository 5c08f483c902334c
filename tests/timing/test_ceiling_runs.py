"""Which ceilings are measured, and what stays in the profile."""

from __future__ import annotations

import pytest

from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES, Ceilings
from opclock.timing import ceiling_runs
from opclock.timing.ceiling_runs import PASSES, measure_ceilings, measure_roofs, remeasure_ceilings


class ScriptedCore:
    """Every rate is the given one; each call is noted."""

    def __init__(self):
        self.rate, self.calls = 1e9, []

    def multiply_adds_per_s(self, _clock, dtype, threads, _seconds):
        self.calls.append((dtype, 0, threads))
        return self.rate

    def bytes_per_s(self, _clock, pattern, nbytes, threads, _seconds):
        self.calls.append((pattern, nbytes, threads))
        return self.rate

    def loads_per_s(self, _clock, nbytes, _seconds):
        self.calls.append(("loads", nbytes, 1))
        return self.rate


@pytest.fixture
def core(monkeypatch):
    scripted = ScriptedCore()
    monkeypatch.setattr(ceiling_runs, "load_core", lambda: scripted)
    return scripted


def test_all_are_measured_once(core, profile):
    ceilings = measure_ceilings(profile, 2)
    assert len(core.calls) == PASSES * (len(DTYPES) + len(PATTERNS) * len(SIZES) + len(SIZES))
    assert ("int8", 0, 2) in core.calls
    assert ("triad", SIZES[-1], 2) in core.calls
    assert ceilings.whole
    assert ceilings.peak("float32") == ceilings.bandwidth(1 << 20) == ceilings.loads_per_s[SIZES[0]] == 1e9
    core.calls.clear()
    assert measure_ceilings(profile, 2) == ceilings
    assert core.calls == []


def test_a_slow_hour_lowers_no_ceiling_and_a_faster_board_raises_it(core, profile):
    measure_ceilings(profile, 1)
    core.rate = 5e8
    remeasure_ceilings(profile, 1)
    assert Ceilings.read(profile, 1).peak("float32") == 1e9
    core.rate = 2e9
    remeasure_ceilings(profile, 1)
    assert Ceilings.read(profile, 1).peak("float32") == 2e9


def test_an_outlier_stays_in_no_ceiling(core, profile, monkeypatch):
    rates = iter([4e10])
    monkeypatch.setattr(core, "multiply_adds_per_s", lambda *_: next(rates, 1e9))
    measure_ceilings(profile, 1)
    assert Ceilings.read(profile, 1).multiply_adds == dict.fromkeys(DTYPES, 1e9)


def test_roofs_are_two_of_the_ceilings(core, profile):
    assert measure_roofs(profile, 3 << 20, 1) == (1e9, 1e9)
    assert core.calls == [*[("float32", 0, 1)] * PASSES, *[("copy", 1 << 22, 1)] * PASSES]
    core.rate = 7e9
    assert measure_roofs(profile, 3 << 20, 1) == (1e9, 1e9)  # from the profile
    assert len(core.calls) == 2 * PASSES
