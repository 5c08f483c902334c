"""An estimate from several processes: their mean, how far they lie apart, and both figures where the layout decides."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import BOARD, chain, opclock

from opclock.estimation.estimate import estimate
from opclock.estimation.estimate_file import document, estimate_of
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings
from opclock.profiles.profile import Profile

TRACE = chain("relu", "tanh")


@pytest.fixture
def three(profile_path):
    """Kernels take 7 ms in one process, and 8 ms with 3,500 page faults in two others; the host takes 0.1 ms."""
    keys = [traced.call.key for traced in TRACE.calls]
    condition = Condition.of("in_model", "cpu", 2, TRACE.working_set)
    with Profile.create_or_open(profile_path, BOARD) as profile:
        pool = profile.start_pool(condition, keys, [1, 1], signature="s", host=(host_key(TRACE), host_kinds(TRACE)))
        for _ in range(6):
            for process, kernel_s, faults in ((1, 3.5e-3, 0.0), (2, 4e-3, 3500.0), (3, 4e-3, 3500.0)):
                readings = Readings.unknown(1)
                readings.wall_s[:], readings.wait_s[:], readings.faults[:] = 1.0, 0.0, faults
                profile.add_rounds(pool, np.full((1, 2), kernel_s), np.ones(1), np.full((1, 3), 1e-4 / 3), readings,
                                   process=process)  # fmt: skip
        profile.end_pool(pool, "settled", ["narrow"] * 2, {})
    return profile_path


def test_the_total_is_the_mean_of_processes_and_the_interval_holds_them(three):
    with Profile.open(three) as profile:
        done = estimate(TRACE, profile)
    assert done.total_s == pytest.approx((7e-3 + 2 * 8e-3) / 3 + 1e-4)
    assert sum(part.kernel_s + part.host_s for part in done.parts) + done.host_tail_s == pytest.approx(done.total_s)
    assert done.ci_low_s < 7.1e-3 < 8.1e-3 < done.ci_high_s
    assert [(one.median_s, one.rounds, one.faults) for one in done.processes] == [
        (pytest.approx(7.1e-3), 6, 0.0), (pytest.approx(8.1e-3), 6, 3500.0), (pytest.approx(8.1e-3), 6, 3500.0)
    ]  # fmt: skip
    assert "layout" in done.flags
    assert estimate_of(document(done)).processes == done.processes


def test_the_estimate_says_both_figures_and_what_to_do(three, tmp_path):
    TRACE.save(tmp_path / "trace.json")
    done = opclock("estimate", tmp_path / "trace.json", "--profile", three, "--json", tmp_path / "e.json")
    said = " ".join(done.stdout.split())  # without line breaks
    assert "2 of 3 processes take 8.10 ms with 3.50 k page faults; 1 takes 7.10 ms with no page faults" in said
    assert "MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=-1" in said
    stored = json.loads((tmp_path / "e.json").read_text())["processes"]
    assert [(one["rounds"], one["faults"]) for one in stored] == [(6, 0.0), (6, 3500.0), (6, 3500.0)]
