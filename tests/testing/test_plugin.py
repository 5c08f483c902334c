"""The pytest plugin in sessions of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest
from user_tests import ONE

from opclock.testing.benchmark_json import statistics


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
