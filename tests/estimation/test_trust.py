"""An estimate has the flags of what it is made of, and is never called measured where it is not reliable."""

from __future__ import annotations

from helpers import chain, filled

from opclock.estimation.estimate import estimate
from opclock.profiles.profile import Profile
from opclock.report.estimate_tables import summary

SECONDS = {"relu": 1e-3, "tanh": 2e-3}


def read(path, *names):
    with Profile.open(path) as profile:
        return estimate(chain(*names), profile, threads=2)


def test_a_quiet_estimate_has_no_flag_and_is_called_measured(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu", "tanh"), SECONDS)
    done = read(tmp_path / "p.sqlite", "relu", "tanh")
    assert done.flags == ()
    assert "measured 100 %" in summary(done)


def test_a_later_process_sees_the_flags_of_the_pools(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu", "tanh"), SECONDS, flags=("drifting", "throttled"))
    done = read(tmp_path / "p.sqlite", "relu", "tanh")
    assert done.flags == ("throttled", "drifting")


def test_the_pool_of_the_host_counts_too(tmp_path):
    path = tmp_path / "p.sqlite"
    filled(path, chain("relu"), {"relu": 1e-3}, host_s=None)
    filled(path, chain("relu", "tanh"), {}, flags=("drifting",))
    assert "drifting" in read(path, "relu", "tanh").flags


def test_rounds_that_waited_for_cores_make_it_contended_and_not_measured(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu", "tanh"), SECONDS, waited=0.5)
    done = read(tmp_path / "p.sqlite", "relu", "tanh")
    assert done.flags == ("contended",)
    assert "measured" not in summary(done)
    assert "not reliable (contended)" in summary(done)


def test_an_interval_from_zero_is_not_called_measured(tmp_path):
    """330 ms [0 s, 1858 ms] was called "measured 100 %"."""
    filled(tmp_path / "p.sqlite", chain("relu"), {"relu": 1e-3}, noise=2.0, rounds=8)
    done = read(tmp_path / "p.sqlite", "relu")
    assert "imprecise" in done.flags
    assert "not reliable (imprecise)" in summary(done)


def test_a_sum_that_leaves_op_calls_out_is_incomplete(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu"), SECONDS)
    assert "incomplete" in read(tmp_path / "p.sqlite", "relu", "tanh").flags


def test_a_host_from_the_table_is_said(tmp_path):
    filled(tmp_path / "p.sqlite", chain("relu", "tanh"), SECONDS)
    assert read(tmp_path / "p.sqlite", "relu", "tanh", "relu").flags == ("host_by_table",)
