from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import chain, filled
from hypothesis import given, settings
from hypothesis import strategies as st

from opclock.errors import EstimateError, TraceError
from opclock.estimation.estimate import COMPOSITION_DEVIATION, estimate
from opclock.profiles.profile import Profile

NAMES = ("conv2d", "relu", "cat", "tanh", "linear")


def estimated(trace, seconds, path, **options):
    filled(path, trace, seconds, **options)
    with Profile.open(path) as profile:
        return estimate(trace, profile, threads=2)


@settings(max_examples=25)
@given(
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=12),
    seconds=st.fixed_dictionaries({name: st.floats(1e-6, 1e-2) for name in NAMES}),
    host_s=st.floats(0, 1e-3),
)
def test_parts_add_up_to_the_total_and_the_total_to_what_was_measured(names, seconds, host_s):
    with tempfile.TemporaryDirectory() as folder:
        done = estimated(chain(*names), seconds, Path(folder) / "p.sqlite", host_s=host_s)
    wanted = sum(seconds[name] for name in names) + host_s * (len(names) + 1)
    assert done.total_s == pytest.approx(wanted)
    assert sum(done.by_class().values()) == pytest.approx(done.total_s)
    assert done.mac_s + done.non_mac_s + done.host_s == pytest.approx(done.total_s)
    assert done.by_class()["host"] == pytest.approx(host_s * (len(names) + 1))
    assert sum(done.by_module().values()) == pytest.approx(done.total_s)
    assert done.ci_low_s <= done.total_s * (1 + 1e-9)
    assert done.ci_high_s >= done.total_s * (1 - 1e-9)
    assert done.coverage.measured == pytest.approx(1)
    assert done.complete
    frame = done.to_frame()
    assert frame["kernel_s"].sum() + frame["host_s"].sum() + done.host_tail_s == pytest.approx(done.total_s)


def test_interval_is_wider_on_a_noisier_machine(tmp_path):
    trace, seconds = chain("relu"), {"relu": 1e-3}
    calm = estimated(trace, seconds, tmp_path / "a.sqlite", noise=0.001)
    wild = estimated(trace, seconds, tmp_path / "b.sqlite", noise=0.05)
    assert wild.ci_high_s - wild.ci_low_s > 2 * (calm.ci_high_s - calm.ci_low_s)
    (rough,), (smooth,) = wild.processes, calm.processes  # without the room for what a pool and a model differ by
    assert np.ptp(rough.interval_s) > 5 * np.ptp(smooth.interval_s)


def test_an_estimate_has_room_for_what_a_pool_and_a_model_differ_by(tmp_path):
    done = estimated(chain("relu"), {"relu": 1e-3}, tmp_path / "a.sqlite")  # rounds that are all equal
    assert done.ci_high_s / done.total_s == pytest.approx(1 + 1.96 * COMPOSITION_DEVIATION)
    assert done.ci_low_s / done.total_s == pytest.approx(1 - 1.96 * COMPOSITION_DEVIATION)
    with Profile.open(tmp_path / "a.sqlite") as profile:
        kernels = estimate(chain("relu"), profile, threads=2, host=False)
    assert kernels.ci_high_s == pytest.approx(kernels.total_s)


def test_unknown_op_call_is_named_and_not_free(tmp_path):
    done = estimated(chain("relu", "tanh"), {"relu": 1e-3}, tmp_path / "p.sqlite")
    assert not done.complete
    assert done.unknown == ("aten::tanh(float32[1x4x8x8])",)
    assert done.coverage.unknown == pytest.approx(0.5, abs=0.01)
    assert [part.kernel_s is None for part in done.parts] == [False, True]


def test_host_of_another_model_comes_from_the_table(tmp_path):
    path = tmp_path / "p.sqlite"
    filled(path, chain("relu", "tanh"), {"relu": 1e-3, "tanh": 1e-3}, host_s=2e-6)
    with Profile.open(path) as profile:
        done = estimate(chain("relu", "tanh", "relu"), profile, threads=2)
    assert done.coverage.modelled == pytest.approx(8e-6 / (3e-3 + 8e-6))
    assert done.total_s == pytest.approx(3e-3 + 4 * 2e-6)


def test_nothing_measured_is_an_error_with_the_next_step(tmp_path):
    path = tmp_path / "p.sqlite"
    filled(path, chain("relu"), {"relu": 1e-3})
    with Profile.open(path) as profile:
        with pytest.raises(EstimateError, match="opclock measure"):
            estimate(chain("tanh"), profile, threads=2)
        with pytest.raises(EstimateError, match="7 threads"):
            estimate(chain("relu"), profile, threads=7)


def test_nearest_working_set_wins(tmp_path):
    path, small, large = tmp_path / "p.sqlite", chain("relu"), chain("relu", *["tanh"] * 3)
    filled(path, large, {"relu": 9e-3, "tanh": 1e-3})
    filled(path, small, {"relu": 1e-3})
    with Profile.open(path) as profile:
        assert estimate(small, profile, threads=2, host=False).total_s == pytest.approx(1e-3)


@settings(max_examples=25)
@given(
    asked=st.integers(0, 6),
    batches=st.permutations(range(7)),
    far_apart=st.booleans(),
    seconds=st.lists(st.floats(1e-6, 1e-2), min_size=7, max_size=7),
)
def test_other_batches_in_the_profile_change_nothing(asked, batches, far_apart, seconds):
    """One Python at all batches, but each has its own cost for it: kernels and host are of the batch asked for."""

    def at(place):
        return chain("relu", "tanh", "linear", batch=4**place if far_apart else place + 1)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.sqlite"
        for place in batches:
            filled(path, at(place), dict.fromkeys(("relu", "tanh", "linear"), seconds[place]), host_s=seconds[place])
        with Profile.open(path) as profile:
            done = estimate(at(asked), profile, threads=2)
    assert done.total_s == pytest.approx(7 * seconds[asked])
    assert done.flags == ()


def test_an_op_call_that_several_models_share_is_taken_with_the_model_s_own(tmp_path):
    path, mine = tmp_path / "p.sqlite", chain("relu", "tanh")
    filled(path, mine, {"relu": 1e-3, "tanh": 2e-3})
    filled(path, chain("relu", "sigmoid"), {"relu": 9e-3, "sigmoid": 1e-3})
    with Profile.open(path) as profile:
        assert estimate(mine, profile, threads=2, host=False).total_s == pytest.approx(3e-3)


def test_json_is_golden(tmp_path):
    done = estimated(chain("conv2d", "relu"), {"conv2d": 2e-3, "relu": 1e-3}, tmp_path / "p.sqlite", host_s=0.0)
    data = done.to_json()
    assert list(data) == [
        "total_s", "ci_low_s", "ci_high_s", "mac_s", "non_mac_s", "host_s", "by_class", "coverage", "flags",
        "uncounted_operators", "interrupted_after", "processes", "page_fault_s", "machine_state",
        "left_out_controls",
    ]  # fmt: skip
    assert data["coverage"] == {"measured": 1.0, "modelled": 0.0, "unknown": 0.0, "unknown_op_calls": 0}
    assert data["mac_s"] == pytest.approx(2e-3)


def test_a_model_that_makes_no_op_call_is_refused(profile_path):
    """The error named no kind of op call, and advised a sweep."""
    filled(profile_path, chain("relu"), {"relu": 1e-5})
    with Profile.open(profile_path) as profile, pytest.raises(TraceError, match="makes no op call"):
        estimate(replace(chain("relu"), calls=()), profile, threads=2)
