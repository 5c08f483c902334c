"""The pytest plugin against a baseline, in sessions of its own."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from helpers import validation_row
from user_tests import NAME, ONE

from opclock.board.identity import read_board
from opclock.profiles.profile import Profile
from opclock.profiles.shift import Shift
from opclock.testing.baseline import PROCESSES, Slowdown, Timed

REAL = """
import torch
torch.manual_seed(0)
def test_latency(opclock_bench):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
    done = opclock_bench(model, torch.randn(1, 3, 16, 16), threads=1, max_s=0.05)
    assert done.reference.median_s > 0
"""


def test_a_real_model_against_its_own_baseline(session, monkeypatch, tmp_path):
    monkeypatch.setattr("opclock.validation.session.MIN_BLOCKS", 2)
    code, text = session(REAL, "--opclock-baseline", "base.sqlite")
    assert code == 0, text
    assert "1 test had no baseline in base.sqlite: these times are now theirs" in text
    before = (tmp_path / "base.sqlite").read_bytes()
    code, text = session(REAL, "--opclock-baseline", "base.sqlite", "--opclock-json", "out.json")
    assert code in (0, 1), text
    assert (tmp_path / "base.sqlite").read_bytes() == before
    data = json.loads((tmp_path / "out.json").read_text())
    (case,) = data["benchmarks"]
    assert (case["name"], case["fullname"]) == ("test_latency", "test_of_a_user.py::test_latency")
    assert case["stats"]["rounds"] == len(case["stats"]["data"])
    assert case["extra_info"]["opclock"]["threads"] == 1
    high = case["extra_info"]["opclock"]["slowdown_high"]  # JSON has no infinity: null, where few runs are clean
    assert case["extra_info"]["opclock"]["slowdown_low"] < (math.inf if high is None else high)


@pytest.mark.parametrize(("ratio", "code", "verdict"), [
    (1.2, 1, "slower"), (1.0, 0, "same"), (0.8, 0, "faster"), (1.07, 0, "undecided")
])  # fmt: skip
def test_only_a_whole_interval_above_the_allowed_slowdown_fails(session, measured, tmp_path, ratio, code, verdict):
    measured.ratios = [ratio]
    got, text = session(ONE, "--opclock-baseline", "base.sqlite")
    assert got == code, text
    assert verdict in text
    assert '"slower by" is without it' in text
    if verdict == "slower":
        assert "slower than the baseline: +20.0 % [+15.2 %, +24.8 %], 5.0 % is allowed" in text
        assert "Traceback" not in text
        assert "def test_latency" not in text  # the line says it all


@pytest.mark.parametrize(("option", "value"), [
    ("--opclock-json", "no/folder.json"), ("--opclock-json", "."), ("--opclock-baseline", "no/base.sqlite"),
    ("--opclock-baseline", ""),
])  # fmt: skip
def test_a_file_that_cannot_be_is_told_before_any_test(session, measured, option, value):
    code, text = session(ONE, option, value)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert f"{option} {value!r}: name a file in a folder that exists" in text
    assert measured.asked == []


def test_a_damaged_baseline_is_found_once_before_any_test(session, measured, tmp_path):
    """Each test found it by itself, after it had measured."""
    (tmp_path / "base.sqlite").write_text("what was there")
    code, text = session(ONE + ONE.replace("latency", "other"), "--opclock-baseline", "base.sqlite")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert text.count("base.sqlite") == 1
    assert "Traceback" not in text
    assert measured.asked == []
    assert (tmp_path / "base.sqlite").read_text() == "what was there"
    code, text = session("def test_it(): pass\n", "--opclock-baseline", "base.sqlite")
    assert code == 0, text  # no test needs it


def test_a_baseline_of_another_machine_is_told_before_any_test(session, measured, tmp_path):
    with Profile.create_or_open(tmp_path / "base.sqlite", replace(read_board(), model="another board")):
        pass
    code, text = session(ONE, "--opclock-baseline", "base.sqlite")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "is of another machine" in text
    assert measured.asked == []


def test_an_empty_file_is_no_baseline_yet(session, measured, tmp_path):
    """Such as mktemp makes."""
    (tmp_path / "base.sqlite").touch()
    code, text = session(ONE, "--opclock-baseline", "base.sqlite")
    assert code == 0, text
    assert "1 test had no baseline in base.sqlite" in text


def test_only_a_test_that_passes_becomes_the_baseline(session, measured, tmp_path):
    """A wrong model is no model to compare with."""
    failing = ONE + "    assert 1 == 2\n"
    code, text = session(failing, "--opclock-baseline", "base.sqlite")
    assert code == 1
    assert "1 test got no baseline: a test that fails gets none" in text
    assert not (tmp_path / "base.sqlite").exists()
    code, text = session(f"import pytest\n@pytest.mark.xfail{failing}", "--opclock-baseline", "base.sqlite")
    assert code == 0
    assert not (tmp_path / "base.sqlite").exists()
    code, text = session(ONE, "--opclock-baseline", "base.sqlite")
    assert code == 0
    assert (tmp_path / "base.sqlite").exists()


def test_a_slow_test_on_a_disturbed_machine_passes_and_is_warned_of(session, measured):
    measured.ratios, measured.doubt = [1.2], "other programs disturbed nearly all runs"
    options = "--opclock-baseline", "base.sqlite"
    code, text = session(ONE, *options, "-W", "default::opclock.testing.UndecidedWarning")
    assert code == 0, text
    assert "undecided: perhaps slower than the baseline: +20.0 % [+15.2 %, +24.8 %], 5.0 % is allowed, but other " \
           "programs disturbed nearly all runs" in " ".join(text.split())  # fmt: skip
    measured.ratios = [1.2]
    code, text = session(ONE, *options, "-W", "error::opclock.testing.UndecidedWarning")
    assert code == 1
    measured.ratios = [1.0]
    code, text = session(ONE, *options)  # whose warnings are errors
    assert code == 0, text


@pytest.mark.parametrize(("shift", "ratio"), [(0.0, 1.2), (np.log(1.2), 1.0)])
def test_the_machines_part_is_taken_off(shift, ratio):
    now = validation_row("net", 8, 1.2e-3, 1e-3, repeat=1.0).reference
    found = Slowdown.of(now, Timed(1e-3, 1e-3, 1e-3), Shift(shift, 0.0))
    assert found.ratio == pytest.approx(ratio)
    assert found.baseline_s == pytest.approx(1.2e-3 / ratio)
    assert found.high / found.ratio == pytest.approx(found.ratio / found.low)
    assert found.high / found.ratio == pytest.approx(np.exp(PROCESSES))
    assert (1e-3 * found.machine * found.ratio, found.imprecise) == (pytest.approx(1.2e-3), False)
    assert Slowdown.of(now, Timed(1e-3, 0.7e-3, 1.3e-3), None).imprecise


def test_the_table_of_a_moved_machine_adds_up(session, measured):
    """A baseline of 710 us, 999 us now and "slower by +149 %" stood there without the machine's own change."""
    measured.machine = 0.5
    measured.imprecise = True
    measured.ratios = [1.0]
    _, text = session(ONE, "--opclock-baseline", "base.sqlite")
    heading, row = next((line, after) for line, after in pairwise(text.splitlines()) if line.startswith("test "))
    assert heading.split()[1] == "baseline"
    assert row.split()[1] == "2.00"
    assert "-50.0 %" in row
    assert f"1 test with an imprecise baseline, first {NAME}.py::test_latency" in text
