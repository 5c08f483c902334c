"""Ctrl-C says what is kept, and only what is."""

from __future__ import annotations

import os
import signal

import pytest
from helpers import SMALL, add_pool, opclock

from opclock.cli.signals import end_by_signals


@pytest.mark.parametrize("stored", [False, True])
def test_ctrl_c_looks_whether_anything_was_stored(tmp_path, monkeypatch, stored):
    def interrupted(_trace, profile, **_options):
        if stored:
            profile.add_ceiling("multiply_adds_int8", 0, 1, 1e9)
        raise KeyboardInterrupt

    monkeypatch.setattr("opclock.timing.measure.measure", interrupted)
    done = opclock("measure", SMALL, "--profile", tmp_path / "p.sqlite")
    assert done.returncode == 130
    kept = f"what was finished is kept in {tmp_path}/p.sqlite: the same command goes on"
    assert done.stderr.strip().endswith(f"opclock: interrupted; {kept if stored else 'nothing was stored'}")


def test_ctrl_c_without_a_profile_says_how_to_keep_what_is_finished(monkeypatch):
    def interrupted(_model, profile, **_options):
        add_pool(profile, ["a"], [1.0], rounds=4)
        raise KeyboardInterrupt

    monkeypatch.setattr("opclock.validation.validate.validate", interrupted)
    done = opclock("validate", SMALL)
    assert done.returncode == 130
    assert done.stderr.strip().endswith("interrupted; nothing was stored: --profile FILE keeps what is finished")


def test_ctrl_c_says_from_how_many_rounds_the_command_goes_on(tmp_path, monkeypatch):
    def interrupted(_trace, profile, **_options):
        add_pool(profile, ["a"], [1.0], rounds=4)
        add_pool(profile, ["b"], [1.0], rounds=3, ended="")
        raise KeyboardInterrupt

    monkeypatch.setattr("opclock.timing.measure.measure", interrupted)
    done = opclock("measure", SMALL, "--profile", tmp_path / "p.sqlite")
    assert done.stderr.strip().endswith("p.sqlite: the same command goes on from 3 rounds")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_parent_cleans_up(tmp_path, monkeypatch, name):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)  # these tests may run under nohup

    def told_to_end(_trace, _profile, **_options):
        os.kill(os.getpid(), number)

    monkeypatch.setattr("opclock.timing.measure.measure", told_to_end)
    try:
        done = opclock("measure", SMALL, "--profile", tmp_path / "p.sqlite")
        assert done.returncode == 128 + number
        assert done.stderr.strip().endswith("opclock: interrupted; nothing was stored")
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_an_ignored_signal_stays_ignored():
    """As nohup leaves it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with end_by_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
