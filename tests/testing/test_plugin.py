"""The pytest plugin in sessions of its own."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from helpers import validation_row

from opclock.board.identity import read_board
from opclock.profiles.profile import Profile
from opclock.profiles.shift import Shift
from opclock.testing import benchmark as benchmarks
from opclock.testing.baseline import PROCESSES, Slowdown, Timed
from opclock.testing.benchmark import Benchmark
from opclock.testing.benchmark_json import statistics

NAME = "test_of_a_user"
PLUGIN = ["-p", "opclock.testing.plugin"]  # no other is loaded, nor this a second time
ONE = """
def test_latency(opclock_bench):
    opclock_bench("a model", "its inputs")
"""
REAL = """
import torch
torch.manual_seed(0)
def test_latency(opclock_bench):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU()).eval()
    done = opclock_bench(model, torch.randn(1, 3, 16, 16), threads=1, max_s=0.05)
    assert done.reference.median_s > 0
"""


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Runs a file of tests in a session of its own. Returns the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(text, *arguments, plugins=()):
        (tmp_path / f"{NAME}.py").write_text(text)
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\naddopts = --strict-markers --import-mode=importlib\nfilterwarnings = error\n"
        )
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
            code = pytest.main([*PLUGIN, "-p", "no:cacheprovider", *arguments], plugins=plugins)
        sys.modules.pop(NAME, None)  # the next file has the same name
        return int(code), out.getvalue()

    return run


class Scripted:
    """In place of timing: how much slower than the baseline each call is, in turn."""

    def __init__(self):
        self.ratios = []
        self.doubt = ""
        self.machine, self.imprecise = 1.0, False
        self.asked = []  # the arguments of each call

    def __call__(self, model, inputs, **details):
        self.asked.append(details)
        row = validation_row("net", 8, 1e-3, 1e-3)
        slowdown = None
        if self.ratios:
            ratio = self.ratios.pop(0)
            slowdown = Slowdown(1e-3, ratio, ratio * 0.96, ratio * 1.04, self.doubt, self.machine, self.imprecise)
        with Profile.create_or_open(details["file"], read_board()):
            pass
        return Benchmark(details["name"], row.reference, row.estimate, (), slowdown)


@pytest.fixture
def measured(monkeypatch):
    scripted = Scripted()
    monkeypatch.setattr(benchmarks, "benchmark", scripted)
    return scripted


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
    assert case["extra_info"]["opclock"]["slowdown_low"] < case["extra_info"]["opclock"]["slowdown_high"]


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


def test_the_marker_gives_arguments_and_the_call_wins(session, measured):
    measured.ratios = [1.2, 1.2]
    code, text = session("""
import pytest
@pytest.mark.opclock(max_slowdown=0.5, threads=1, max_s=2)
def test_marked(opclock_bench):
    opclock_bench("a model", "its inputs", max_s=3)
@pytest.mark.opclock(max_slowdown=0.5)
def test_called(opclock_bench):
    opclock_bench("a model", "its inputs", 0.1)
""", "--opclock-baseline", "base.sqlite")  # fmt: skip
    assert code == 1
    assert "1 failed, 1 passed" in text
    assert [(one["threads"], one["max_s"]) for one in measured.asked] == [(1, 3), (None, None)]


@pytest.mark.parametrize(("marker", "words"), [
    ("max_slow=0.1", "does not take max_slow: give max_slowdown, threads, max_s by name"),
    ("0.1", "does not take 0.1: give"),
    ("max_slowdown='x'", "max_slowdown='x': give a fraction of 0 or more"),
    ("max_slowdown=-1", "max_slowdown=-1: give"),
])  # fmt: skip
def test_a_wrong_argument_is_one_line(session, measured, marker, words):
    code, text = session(f"import pytest\npytestmark = pytest.mark.opclock({marker})\n{ONE}")
    assert code == 1
    assert words in text
    assert "Traceback" not in text
    assert measured.asked == []


def test_a_model_that_raises_is_one_line(session):
    code, text = session("""
import torch
class Refuses(torch.nn.Module):
    def forward(self, x): raise ValueError("not today")
def test_it(opclock_bench): opclock_bench(Refuses(), torch.randn(2))
""")
    assert code == 1
    assert "not today" in text
    assert "opclock/testing" not in text


def test_one_call_a_test(session, measured):
    code, text = session(ONE + '    opclock_bench("a model", "its inputs")\n')
    assert code == 1
    assert "test_latency calls opclock_bench twice: parametrize the test" in text


def test_parametrized_tests_are_told_apart(session, measured, tmp_path):
    code, text = session("""
import pytest
@pytest.mark.parametrize("dtype", ["fp32", int])
def test_latency(opclock_bench, dtype): opclock_bench("a model", "its inputs")
def test_other(): pass
""", "--opclock-json", "out.json", "-m", "opclock")  # fmt: skip
    assert code == 0, text
    assert "1 deselected" in text
    cases = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert [case["name"] for case in cases] == ["test_latency[fp32]", "test_latency[int]"]
    assert [case["params"] for case in cases] == [{"dtype": "fp32"}, {"dtype": "<class 'int'>"}]
    assert [one["name"] for one in measured.asked] == [
        "test_of_a_user.py::test_latency[fp32]",
        "test_of_a_user.py::test_latency[int]",
    ]


class Worker:
    """Makes a session look like one of pytest-xdist's workers."""

    def pytest_configure(self, config):
        config.workerinput = {}


def test_workers_do_not_time(session, measured):
    text = """
import torch
class Runs(torch.nn.Module):
    runs = 0
    def forward(self, x): Runs.runs += 1; return x
def test_it(opclock_bench):
    assert opclock_bench(Runs(), torch.randn(2)) is None
    assert Runs.runs == 1
"""
    code, printed = session(text, plugins=[Worker()])
    assert code == 0, printed
    assert "1 test ran without timing, because several processes run tests at once: leave out -n" in printed
    assert measured.asked == []


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


@pytest.mark.parametrize(("text", "words"), [
    ("def test_it(opclock_bench): pass", "test_it asks for opclock_bench and never calls it"),
    ("import pytest\n@pytest.mark.opclock\ndef test_it(): pass",
     "test_it has the marker opclock and does not ask for opclock_bench"),
])  # fmt: skip
def test_a_test_that_measures_nothing_is_warned_of(session, text, words):
    code, printed = session(text, "-W", "default::opclock.testing.UnusedWarning")
    assert code == 0, printed
    assert words in " ".join(printed.split())
    code, printed = session(text)  # whose warnings are errors
    assert code == 1
    assert words in " ".join(printed.split())
    assert "Traceback" not in printed


@pytest.mark.parametrize("text", [
    "import pytest\npytestmark = pytest.mark.opclock(threads=1)\ndef test_it(): pass",  # for others of the module
    "import pytest\ndef test_it(opclock_bench): pytest.skip('not here')",
    "def test_it(): pass",
])  # fmt: skip
def test_others_are_not_warned_of(session, text):
    code, printed = session(text)
    assert code == 0, printed
    assert "1 warning" not in printed


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


def test_collecting_writes_nothing(session, measured, tmp_path):
    code, text = session(ONE, "--collect-only", "--opclock-json", "out.json", "--opclock-baseline", "base.sqlite")
    assert code == 0, text
    assert not (tmp_path / "out.json").exists()
    assert not (tmp_path / "base.sqlite").exists()


def test_a_session_without_the_fixture_hears_nothing(session):
    code, text = session("def test_it(): pass\n")
    assert code == 0
    assert "opclock" not in text.replace("opclock.testing.plugin", "").partition("collected")[2]


def test_statistics_are_those_of_pytest_benchmark():
    found = statistics(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert (found["min"], found["q1"], found["median"], found["q3"], found["max"]) == (1, 2, 3, 4, 100)
    assert (found["rounds"], found["iqr"], found["ld15iqr"], found["hd15iqr"]) == (5, 2, 1, 4)
    assert found["outliers"] == "1;1"
    assert found["ops"] == pytest.approx(1 / 22)


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
