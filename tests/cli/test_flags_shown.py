"""A flag is shown with its meaning and remedy wherever its number is, and --strict makes it an exit code."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import click
import numpy as np
import pytest
from helpers import BOARD, chain, filled, opclock, validation_row

from opclock.benchmarking.batch_scaling import BatchCurve, BatchPoint, together
from opclock.benchmarking.result import BenchRow
from opclock.cli.main import commands
from opclock.cli.reporting import Reporter
from opclock.cli.validate import _report
from opclock.flags import BY_FLAG, validity
from opclock.prediction.ceilings import Ceilings
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.report import batch_report, ceilings_tables
from opclock.report.landscape_page import write_page
from opclock.report.validation_files import write_validation
from opclock.runtimes.runtime import Settings
from opclock.studies.landscape_results import Entry, Landscape
from opclock.validation.results import Validation

SECONDS = {"relu": 1e-3, "tanh": 2e-3}
TIMES = ("measure", "estimate", "validate", "bench", "batch", "sweep", "sweep conv2d", "study hidden-costs",
         "study landscape", "study tokens", "llm")  # fmt: skip


def estimated(folder, *options, model=("relu", "tanh"), **made):
    filled(folder / "p.sqlite", chain("relu", "tanh"), SECONDS, **made)
    (folder / "trace.json").write_text(json.dumps(chain(*model).to_json()))
    return opclock("estimate", folder / "trace.json", "--profile", folder / "p.sqlite", *options)


def unwrapped(text):
    """The text on one line: where lines are broken depends on the width of the screen."""
    return " ".join(text.split())


def test_a_flag_stands_once_with_its_meaning_and_remedy(tmp_path):
    done = estimated(tmp_path, flags=("drifting",))
    assert done.returncode == 0
    assert unwrapped(done.stdout).count(str(BY_FLAG["drifting"])) == 1
    assert "note:" not in done.stdout


def test_strict_prints_and_writes_everything_and_exits_with_1(tmp_path):
    done = estimated(tmp_path, "--strict", "--json", tmp_path / "e.json", waited=0.5)
    assert done.returncode == 1
    assert json.loads((tmp_path / "e.json").read_text())["flags"] == ["contended"]
    assert "operator class" in done.stdout
    assert str(BY_FLAG["contended"]) in unwrapped(done.stdout)
    assert done.stderr == ""


@pytest.mark.parametrize("model", [("relu", "tanh"), ("relu", "tanh", "relu")], ids=["no flag", "host_by_table"])
def test_strict_lets_a_reliable_number_pass(tmp_path, model):
    assert estimated(tmp_path, "--strict", model=model).returncode == 0


@pytest.mark.parametrize("name", TIMES)
def test_every_command_that_times_is_strict_on_demand(name):
    command: click.Command = commands
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    assert "--strict" in [option for parameter in command.params for option in parameter.opts]


def pool_of(path, seconds, **context):
    """A pool of one relu with these samples."""
    trace, condition = chain("relu"), Condition("interleaved", "cpu", 1, 20)
    key = trace.calls[0].call.key
    with Profile.create_or_open(path, BOARD) as profile:
        number = profile.start_pool(condition, [key], [1], signature="s", calls=trace.calls)
        profile.add_rounds(number, np.array(seconds)[:, None], np.ones(len(seconds)), None)
        profile.end_pool(number, "settled", ["narrow"], context)
        pool = profile.pool(number)
    return pool, pool.measurement(key)


@pytest.mark.parametrize(("seconds", "context", "expected"), [
    ([1e-3] * 20, {}, "valid"),
    ([1e-3] * 20, {"flags": ["unlike_cores"]}, "valid"),
    ([1e-3] * 20, {"flags": ["drifting", "throttled"]}, "throttled"),
    ([1e-3, 0.8] * 10, {}, "imprecise"),  # the row was "valid" at +-78,000 %
    ([1e-9] * 20, {"clock_before": {"shortest_sample_s": 1e-6}}, "unresolved"),
])  # fmt: skip
def test_a_sweep_row_is_valid_only_where_nothing_speaks_against_it(tmp_path, seconds, context, expected):
    pool, measurement = pool_of(tmp_path / "p.sqlite", seconds, **context)
    assert validity(pool.flags_of(measurement)) == expected


def test_a_batch_curve_keeps_the_flags_of_its_points():
    points = BatchPoint(1, 1e-3, 0.9e-3, 1.1e-3), BatchPoint(2, 2e-3, 0.0, 9e-3, flags=("contended", "imprecise"))
    curve = BatchCurve("net", "eager", "measured", points)
    frame = together([curve])
    assert list(frame["flags"]) == ["", "contended imprecise"]
    assert "contended imprecise" in "\n".join(batch_report.table(frame, "net").lines(None))
    assert curve.to_json()["points"][1]["flags"] == ("contended", "imprecise")


def test_int8_below_float32_is_flagged():
    rates = {"float32": 2e11, "float64": 1e11, "bfloat16": 4e11, "float16": 3e11, "int8": 1e11}
    ceilings = Ceilings(1, rates, {}, {})
    assert ceilings.flags == ("slower_than_float32",)
    assert ceilings.to_json()["flags"] == ["slower_than_float32"]
    lines = ceilings_tables.multiply_add_table(ceilings, lambda _dtype: "").lines(None)
    assert [line.split()[0] for line in lines if "slower_than_float32" in line] == ["int8"]
    assert Ceilings(1, {**rates, "int8": 3e11}, {}, {}).flags == ()


def test_validate_says_why_a_model_is_incomplete(capsys):
    """It had the flag alone; ``measure`` named the op calls."""
    row = replace(
        validation_row("net", 8, 1e-3, 1.1e-3), flags=("incomplete",), unknown=("aten::relu(float32[2]): no",)
    )
    _report(Validation({"identity": "a board"}, (row,)), None, Reporter(), explain=False)
    assert "net: unknown, not timed: aten::relu(float32[2]): no" in capsys.readouterr().out


def test_files_explain_their_flags(tmp_path):
    row = replace(validation_row("net", 8, 1e-3, 1.1e-3), flags=("drifting",))
    write_validation(Validation({"identity": "a board"}, (row,)), tmp_path)
    assert str(BY_FLAG["drifting"]) in (tmp_path / "validation.md").read_text()


def test_the_landscape_s_page_explains_its_flags(tmp_path):
    rows = tuple(BenchRow(name, 1, samples=np.full(30, time_s), flags=flags)
                 for name, time_s, flags in (("eager", 2e-3, ()), ("onnxruntime", 1e-3, ("contended",))))  # fmt: skip
    entry = Entry("net", "classification", rows, rows, {"conv": 1e-3, "host": 1e-3}, np.empty(0))
    board = {"identity": "a board", "opclock": "0.1.0", "commit": "abc"}
    write_page([Landscape("board", board, Settings(1), (entry,))], tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert re.search(r"<td[^>]*>1.00\sms \(2.00.\) contended</td>", page)
    assert BY_FLAG["contended"].remedy in html.unescape(page)
    assert BY_FLAG["contended"].remedy in (tmp_path / "latency.md").read_text()
