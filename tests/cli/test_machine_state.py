"""--state and --now of the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from helpers import BOARD, chain, filled, opclock

TRACE = chain("conv2d", "relu")
SECONDS = {"conv2d": 2e-3, "relu": 1e-3}
CONTROLS = dict.fromkeys(("product", "copy_4mb", "python"), 1e-4)


@pytest.fixture
def folder(tmp_path):
    TRACE.save(tmp_path / "trace.json")
    filled(tmp_path / "fast.sqlite", TRACE, SECONDS, controls=CONTROLS)
    filled(tmp_path / "slow.sqlite", TRACE, SECONDS, controls=dict.fromkeys(CONTROLS, 1.5e-4))
    return tmp_path


def estimated(folder, *options):
    return opclock("estimate", "trace.json", "--profile", "fast.sqlite", *options, cwd=folder)


def test_an_estimate_for_the_state_of_another_profile(folder):
    done = estimated(folder, "--state", "slow.sqlite", "--json", "out.json")
    assert done.returncode == 0
    sentence = "machine state: +50.0 % (within 0 %) against the rounds that were timed, by control workloads"
    assert sentence in " ".join(done.stdout.split())
    data = json.loads((folder / "out.json").read_text())
    assert data["machine_state"] == {"change": pytest.approx(0.5), "half_width": pytest.approx(0.0, abs=1e-12)}
    assert data["total_s"] == pytest.approx(1.5 * 3.003e-3)


def test_the_usual_state_needs_no_words(folder):
    assert "machine state" not in estimated(folder).stdout


def test_a_profile_without_control_workloads_says_so(folder):
    filled(folder / "bare.sqlite", TRACE, SECONDS)
    done = opclock("estimate", "trace.json", "--profile", "bare.sqlite", cwd=folder)
    assert "machine state: not known, as the profile has no control workloads" in " ".join(done.stdout.split())


def test_impossible_control_workloads_are_named(folder):
    filled(folder / "odd.sqlite", TRACE, SECONDS, controls={**CONTROLS, "relu_16kb": 0.0})
    done = opclock("estimate", "trace.json", "--profile", "odd.sqlite", "--json", "out.json", cwd=folder)
    assert "impossible seconds, which do not count: relu_16kb" in " ".join(done.stdout.split())
    assert json.loads((folder / "out.json").read_text())["left_out_controls"] == ["relu_16kb"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--state", "slow.sqlite", "--now"], "--now and --state slow.sqlite ask for two states"),
        (["--state", "missing.sqlite"], "there is no profile missing.sqlite"),
        (["--state", "bare.sqlite"], "bare.sqlite has no control workloads with 2 threads"),
        (["--state", "other.sqlite"], "other.sqlite is of another board"),
        (["--now"], "this is another board"),
    ],
)
def test_a_state_that_cannot_be_had_is_one_line(folder, options, message):
    filled(folder / "bare.sqlite", TRACE, SECONDS)
    filled(folder / "other.sqlite", TRACE, SECONDS, controls=CONTROLS, board=replace(BOARD, model="another board"))
    done = estimated(folder, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_impossible_control_workloads_of_the_other_profile_are_named(folder):
    filled(folder / "odd.sqlite", TRACE, SECONDS, controls={**CONTROLS, "relu_\x1b[31m16kb": 0.0})
    done = estimated(folder, "--state", "odd.sqlite")
    assert "impossible seconds, which do not count: relu_16kb" in " ".join(done.stdout.split())
