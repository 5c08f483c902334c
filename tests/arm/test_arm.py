"""What only an Arm machine can show. On another one, and so in `make test`, these are skipped."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest
import torch
from arm import trip

import opclock
from opclock import _core
from opclock.board.cores import emulator
from opclock.board.identity import read_board
from opclock.doctor import diagnose
from opclock.models.loading import load_model
from opclock.timing.reference import forward_of
from opclock.tracing.recorder import trace

pytestmark = pytest.mark.arm
emulated = pytest.mark.skipif(not emulator(platform.machine()), reason="runs on a real Arm core")


@pytest.fixture(scope="module")
def clock():
    return _core.Clock.choose()


def test_the_virtual_counter_is_read(clock):
    assert clock.name == "arm_cntvct"
    assert clock.steady


def test_it_runs_at_the_operating_system_s_pace(clock):
    assert 1e6 < clock.rate_hz < 2e9  # CNTFRQ_EL0 says 0 under some emulators: the rate is measured
    assert clock.prove().disagreement < 0.05


def test_it_never_runs_backwards(clock):
    samples = _core.time_chain(clock, 100, 2000)
    assert min(samples) >= 0
    assert clock.resolution_s > 0


def test_vector_instructions():
    assert _core.vector_instructions("float32") == "neon"


@emulated
def test_the_board_says_that_it_is_emulated():
    board = read_board()
    assert board.machine == "aarch64"
    assert board.emulator == "QEMU"
    assert "emulated by QEMU" in board.identity
    checks = {check.name: check for check in diagnose()}
    assert "times mean nothing" in checks["cores"].finding
    assert [name for name, check in checks.items() if check.status == "trouble"] == ["cores"]


def test_a_model_of_the_zoo_from_trace_to_estimate(tmp_path):
    torch.manual_seed(0)
    trip.light_controls()
    model = load_model("zoo:mobilenet", input_text="1x3x32x32")
    traced = trace(model.module, model.inputs, name="mobilenet")
    with opclock.open_profile(tmp_path / "board.sqlite") as profile:
        done = opclock.measure(traced, profile, forward=forward_of(model.module, model.inputs), threads=1, max_s=1)
        made = opclock.estimate(traced, profile, threads=1)
    assert done.timed == len(traced.unique)
    assert made.complete
    assert made.total_s > 0
    if emulator(platform.machine()):
        assert "emulated" in done.flags
        assert "emulated" in made.flags


@pytest.mark.skipif("TRIP" not in os.environ, reason="tests/arm/run brings a profile from another architecture")
def test_profiles_go_both_ways():
    folder = Path(os.environ["TRIP"])
    trip.check(folder / "here")
    trip.make(folder / "there")
