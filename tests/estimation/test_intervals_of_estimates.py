"""Each part of an estimate brings its own interval, and the shares of the coverage are shares of the time."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import BOARD, chain, filled

from opclock.estimation.estimate import estimate
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.files import json_text
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import median_interval


def read(path, trace, **options):
    with Profile.open(path) as profile:
        return estimate(trace, profile, threads=2, **options)


def lane(path, trace, timing, seconds, *, noise=0.0, host=False, seed=0):
    """One pool of these seconds by call, with noise that all calls of a round share."""
    keys = [traced.call.key for traced in trace.calls]
    factors = 1 + noise * np.random.default_rng(seed).standard_normal((20, 1))
    with Profile.create_or_open(path, BOARD) as profile:
        pool = profile.start_pool(
            Condition.of(timing, "cpu", 2, trace.working_set), keys, [1] * len(keys), signature=timing,
            calls=trace.calls, host=(host_key(trace), host_kinds(trace)) if host else None,
        )  # fmt: skip
        host_s = np.ones((20, len(keys) + 1)) * factors if host else None
        for row in range(20):
            profile.add_rounds(pool, np.array([seconds]) * factors[row], np.ones(1),
                               None if host_s is None else host_s[[row]])  # fmt: skip
        profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})


def test_a_host_from_the_table_has_width(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu", "tanh"), {"relu": 1e-3, "tanh": 1e-3}, host_s=1e-3)
    done = read(tmp_path / "p.sqlite", chain("relu", "tanh", "relu"))
    assert done.ci_high_s - done.ci_low_s > 0.5 * done.host_s


def test_a_device_lane_from_several_pools_has_width(tmp_path):
    path, trace = tmp_path / "p.sqlite", chain("conv2d", "relu")
    for number, name in enumerate(("conv2d", "relu")):
        lane(path, chain(name), "device", [50.0], noise=0.05, seed=number)
    lane(path, trace, "in_model", [1.0, 1.0], host=True)
    done = read(path, trace)
    assert done.lanes is not None
    assert done.ci_high_s - done.ci_low_s > 0.01 * done.total_s
    assert done.lanes.replay_ci_s[0] < done.lanes.replay_s < done.lanes.replay_ci_s[1]


def test_a_device_s_host_from_the_table_has_width_and_is_modelled(tmp_path):
    path, other, trace = tmp_path / "p.sqlite", chain("relu", "tanh"), chain("tanh", "relu")
    lane(path, other, "in_model", [9.0, 9.0], host=True)
    lane(path, other, "device", [1.0, 1.0])
    done = read(path, trace)
    assert done.ci_low_s < 0.98 * done.total_s
    assert done.ci_high_s > 1.03 * done.total_s
    assert done.coverage.modelled == pytest.approx(3 / 21)  # its own work; enqueueing was measured
    assert "host_by_table" in done.flags


def test_shares_are_of_the_time_never_negative_and_add_up_to_1(tmp_path):
    """A share was -2e-16, and the unknown was a share of the op calls."""
    path = tmp_path / "p.sqlite"
    filled(path, chain("relu", "tanh", "relu"), {"relu": 0.1, "tanh": 0.3}, host_s=0.7)
    for names in (("relu", "tanh", "relu"), ("tanh", "relu"), ("relu", "sigmoid"), ("tanh", *["sigmoid"] * 9)):
        coverage = read(path, chain(*names)).coverage
        assert min(coverage.measured, coverage.modelled, coverage.unknown) >= 0
        assert coverage.measured + coverage.modelled + coverage.unknown == pytest.approx(1)
        assert coverage.unknown_op_calls == names.count("sigmoid")
    without_host = read(path, chain("relu", "sigmoid", "tanh"), host=False).coverage
    assert without_host.unknown == pytest.approx(0.2 / 0.6)  # the mean of 0.1 and 0.3


def test_errors_of_several_pools_add_up_as_if_they_had_one_sign(tmp_path):
    """Pools of one board share its state, such as a clock rate: their errors do not cancel out."""
    path = tmp_path / "p.sqlite"
    filled(path, chain("relu"), {"relu": 1e-3}, host_s=None, noise=0.02)
    filled(path, chain("tanh"), {"tanh": 1e-3}, host_s=None, noise=0.02)
    both = read(path, chain("relu", "tanh"), host=False)
    single = [read(path, chain(name), host=False) for name in ("relu", "tanh")]
    assert both.ci_high_s == pytest.approx(sum(one.ci_high_s for one in single))
    assert both.ci_low_s == pytest.approx(sum(one.ci_low_s for one in single))


def test_a_reference_pairs_the_blocks_of_both_halves():
    """Blocks alternate between the halves; one half after the other would look like a drift."""
    pytest.importorskip("torch")
    from opclock.timing.reference import Reference
    from opclock.timing.runs import RunSamples

    random = np.random.default_rng(0)
    drift = np.repeat(np.linspace(1, 2, 10), 5)
    halves, numbers = [drift + 0.01 * random.normal(size=50) for _ in range(2)], np.repeat(np.arange(10), 5)
    first, second = (RunSamples.of(half, numbers) for half in halves)
    paired = Reference((first, second)).interval_s
    order = np.argsort(np.concatenate([numbers, numbers]), kind="stable")
    by_time = np.concatenate(halves)[order]
    assert paired == median_interval(by_time, blocks=np.concatenate([numbers, numbers])[order])


def test_json_of_an_estimate_holds_no_nan(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu"), {"relu": 0.0}, host_s=0.0)
    text = json_text(read(tmp_path / "p.sqlite", chain("relu")).to_json())
    assert "NaN" not in text
    assert "Infinity" not in text
