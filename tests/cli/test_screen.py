"""What a person reads: on terminals of 80, 100 and 120 columns, and through a pipe. Nothing is timed."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import Screen, chain, filled, opclock, validation_row

from opclock.benchmarking.bench import Bench
from opclock.benchmarking.result import BenchRow
from opclock.cli.doctor import report as report_checks
from opclock.cli.main import VERBS
from opclock.cli.reporting import Reporter
from opclock.doctor import Check
from opclock.prediction.ceilings import Ceilings
from opclock.ranking.rows import Row
from opclock.report import (
    bench_table,
    ceilings_tables,
    landscape_tables,
    rank_table,
    sweep_tables,
    trace_table,
    validation_tables,
)
from opclock.report.table import fold
from opclock.runtimes.runtime import Settings
from opclock.studies.landscape_results import Landscape
from opclock.validation.results import Validation, validation_table
from opclock.validation.validate import with_regression

WIDTHS = (80, 100, 120)
CHECKS = [
    Check("extension", "ok", "opclock 0.1.0, commit b052a06"),
    Check("clock", "ok", "x86_tsc at 2596.14 MHz, resolution 10 ns, a read costs 26 ns, "
          "within 2.4e-07 of the OS clock"),
    Check("load", "warning", "1-minute load 0.50", "see 'top' and stop what you can, or wait"),
    Check("torch", "trouble", "OSError: [/x] libfoo.so [bold]is missing", "pip install torch"),
    Check("runtimes", "ok", "eager, compile; without onnxruntime (onnxruntime not installed: pip install "
          "'opclock[onnxruntime]'), openvino (openvino not installed: pip install 'opclock[openvino]')"),
]  # fmt: skip
MODELS = ("MobileNetV2", "efficientnet_v2_rw_s", "resnet50", "vgg16")


def on_screen(act, *arguments):
    """The lines that a function prints on a terminal."""
    with redirect_stdout(Screen()) as screen:
        act(*arguments)
    return re.sub(r"\x1b\[\d*m", "", screen.getvalue()).splitlines()


def piped(act, *arguments):
    """What a function prints through a pipe."""
    with redirect_stdout(io.StringIO()) as pipe:
        act(*arguments)
    return pipe.getvalue()


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch):
    """Of the terminal."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


@pytest.fixture
def no_width(monkeypatch):
    """As through a pipe: nobody says how wide it is."""
    monkeypatch.delenv("COLUMNS", raising=False)


def on_pty(width, *arguments):
    """The lines of a command on a terminal of this width, in a process of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = subprocess.Popen([sys.executable, "-m", "opclock", *map(str, arguments)], stdin=theirs, stdout=theirs,
                             stderr=theirs, env=environment)  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so where the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert child.wait(60) == 0, text
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text.decode()).replace("\r\n", "\n").rstrip("\n").split("\n")
    return [line.rpartition("\r")[2] for line in lines]  # what is written over is not seen


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A trace file and two profiles of the model, the second slower."""
    folder = tmp_path_factory.mktemp("stored")
    trace = chain("conv2d", "relu", "add", "max_pool2d", "conv2d", "sigmoid", model="resnet50")
    (folder / "trace.json").write_text(json.dumps(trace.to_json()))
    seconds = {"conv2d": 8.03e-3, "relu": 2e-5, "add": 3e-6, "max_pool2d": 1.1e-4, "sigmoid": 5e-5}
    filled(folder / "one.sqlite", trace, seconds, noise=0.02)
    filled(folder / "other.sqlite", trace, {name: 1.5 * value for name, value in seconds.items()}, noise=0.02)
    return folder


def validation_table_of_four():
    sizes = zip(MODELS, (8, 16, 64, 128), (2e-5, 1e-3, 5e-3, 9e-2), strict=True)
    rows = [validation_row(name, width, time_s, time_s * 1.03) for name, width, time_s in sizes]
    return validation_tables.table(validation_table(Validation({"identity": "a board"}, with_regression(rows))))


def sweep_table_of_three():
    frame = pd.DataFrame({
        "family": "conv", "in_channels": [16, 32, 64], "out_channels": [16, 32, 64], "kernel": ["1x7", "3x3", "3x3"],
        "threads": 2, "median_s": [2.01e-5, 8e-4, 4e-2], "low_s": [1.9e-5, 7.9e-4, 3.9e-2],
        "high_s": [2.1e-5, 8.1e-4, 4.1e-2], "gmacs_per_s": [0.8, 12.0, 30.0], "gb_per_s": [0.001, 1.0, 20.0],
        "ceiling_share": [0.01, 0.5, float("nan")], "validity": "valid",
    })  # fmt: skip
    return sweep_tables.table(frame)


def bench_table_of_two():
    rows = (BenchRow("eager", 1, samples=np.full(30, 8.03e-3), convert_s=0.0, load_s=0.2, first_run_s=0.01,
                     peak_bytes=4 * 10**8),
            BenchRow("onnxruntime", 1, samples=np.full(30, 2e-5), convert_s=12.0, load_s=0.03, first_run_s=1e-4,
                     peak_bytes=10**8, flags=("drifting",)))  # fmt: skip
    bench = Bench("net", Settings(2), {"identity": "a board"}, rows)
    return bench_table.table(bench.to_frame(), "net, batch 1")


def rank_table_of_a_grid():
    columns = {"accuracy": 0.71, "note": "as in the paper"}
    rows = [
        (place, Row(f"width={place},depth=2", total_s=place * 2e-3, ci_low_s=place * 1.9e-3, ci_high_s=place * 2.2e-3,
                    macs=place * 1_234_567, parameters=place * 9_876, measured=0.031,
                    setting="2 threads on cpu in float32", columns=columns))
        for place in (1, 12, 10_000)
    ]  # fmt: skip
    return rank_table.table(rows, {rows[0][1].candidate}, "accuracy")


def landscape_table_of_eight_runtimes():
    root = Path(__file__).resolve().parents[2]
    return landscape_tables.latencies(Landscape.load(root / "docs/landscape/two-threads.json"))


def fits(lines, width):
    return [line for line in lines if len(line) > width] == []


def test_doctor_shows_every_name_and_finding(width):
    lines = on_screen(report_checks, CHECKS, Reporter())
    assert fits(lines, width)
    words = " ".join(" ".join(lines).split())
    for check in CHECKS:
        assert any(line.startswith(f"{check.name} ") for line in lines)
        assert all(word in words for word in check.finding.split())
    assert "  pip install torch" in lines


def test_a_finding_folds_under_its_own_column(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert on_screen(report_checks, CHECKS[:2], Reporter()) == [
        "check      status  finding",
        "extension  ok      opclock 0.1.0, commit b052a06",
        "clock      ok      x86_tsc at 2596.14 MHz, resolution 10 ns, a read costs 26 ns,",
        "                   within 2.4e-07 of the OS clock",
        "this board can be measured well: all 2 checks are ok",
    ]


def test_foreign_text_is_never_markup(no_width):
    text = piped(report_checks, CHECKS, Reporter())
    assert "OSError: [/x] libfoo.so [bold]is missing\n" in text
    assert "pip install 'opclock[onnxruntime]'" in text


def test_a_narrow_bench_keeps_the_minimum():
    """At 80 columns it was left out for items/s, which follow from the median."""
    heading = bench_table_of_two().lines(80)[0]
    assert heading.split()[:2] == ["runtime", "min"]
    assert "median" in heading


@pytest.mark.parametrize("make", [
    validation_table_of_four, sweep_table_of_three, bench_table_of_two, landscape_table_of_eight_runtimes,
    rank_table_of_a_grid,
])  # fmt: skip
def test_tables_fit_and_cut_nothing(width, make):
    table = make()
    lines = on_screen(Reporter().table, table)
    assert fits(lines, width)
    assert "…" not in " ".join(lines)
    shown, left_out = table.shown(width)
    for column in shown:
        assert all(any(cell in line for line in lines) for cell in (column.name, *column.cells))
    if left_out:
        note = " ".join(lines[len(table.rows()) + 1 + bool(table.title) :])
        assert note.startswith(f"left out to fit {width} columns: ")
        assert all(column.name in note for column in left_out)
        assert not {column.name for column in left_out} & {
            "model",
            "measured",
            "estimate",
            "error",
            "median",
            "candidate",
            "time",
            "accuracy",
            "front",
        }


def test_a_validation_on_80_columns():
    table = validation_table_of_four()
    assert [column.name for column in table.shown(80)[0]] == [
        "model", "MACs", "measured", "repeat", "estimate", "error", "back-to-back"
    ]  # fmt: skip
    assert table.rows()[0][:4] == ("MobileNetV2", "64", "20.1 µs", "+1.0 %")


def test_through_a_pipe_nothing_is_left_out(no_width):
    table = validation_table_of_four()
    lines = piped(Reporter().table, table).splitlines()
    assert len(lines) == 1 + len(MODELS)
    assert all(column.name in lines[0] for column in table.columns if any(column.cells))
    assert "\x1b" not in " ".join(lines)


def test_a_number_stays_with_its_unit():
    text = "measured 100 %, modelled 0 % in 16.2 ms at 2.60 GHz; 3 models"
    for width in range(20, 40):
        lines = fold(text, width, "  ")
        assert fits(lines, width)
        assert " ".join(line.strip() for line in lines) == text
        assert not [line for line in lines if line.strip().startswith(("%", "ms", "GHz"))]


def test_columns_are_respected_through_a_pipe(width):
    assert fits(piped(Reporter().table, validation_table_of_four()).splitlines(), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_help_on_a_terminal_names_every_verb_in_whole_lines(width):
    lines = on_pty(width, "--help")
    assert fits(lines, min(width, 80))
    assert "..." not in " ".join(lines[1:])
    for group, verbs in VERBS.items():
        assert f"{group}:" in lines
        for name, text in verbs.items():
            assert any(line.split(maxsplit=1) == [name, text] for line in lines)


@pytest.mark.parametrize("verb", [name for verbs in VERBS.values() for name in verbs])
def test_every_verb_has_help_that_fits_and_is_whole(verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = opclock(verb, "--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert fits(lines, 80)
    assert not [line for line in lines[1:] if line.endswith("...")]


@pytest.mark.parametrize("width", WIDTHS)
def test_estimate_on_a_terminal(stored, width, no_width):
    arguments = ("estimate", stored / "trace.json", "--profile", stored / "one.sqlite")
    lines = on_pty(width, *arguments)
    assert fits(lines, width)
    assert lines[0].startswith("resnet50, 2 threads on cpu in float32: 16.2 ms [")
    assert "activation      69.8 µs   0.4 %" in lines
    words = " ".join(opclock(*arguments).stdout.splitlines()[1:]).split()
    assert words == " ".join(lines).split()[-len(words) :]  # sentences are folded, tables are not


def test_compare_fits(stored, monkeypatch):
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        done = opclock("compare", stored / "one.sqlite", stored / "other.sqlite")
        assert fits(done.stdout.splitlines(), width)
        assert done.stdout.count("slower") == 6


def test_comparing_estimates_fits(stored, tmp_path, monkeypatch):
    path = tmp_path / "estimate.json"
    made = opclock("estimate", stored / "trace.json", "--profile", stored / "one.sqlite", "--json", path)
    assert made.returncode == 0, made.stderr
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        done = opclock("compare", path, path, "--depth", "1")
        assert fits(done.stdout.splitlines(), width), done.stderr
        assert "verdict: undecided" in " ".join(done.stdout.split())
    refused = opclock("compare", path, stored / "one.sqlite")
    assert refused.returncode == 2
    assert "two profiles, or two estimates" in refused.stderr


def test_ascii_terminals_read_us(no_width):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with redirect_stdout(stream):
        Reporter().say("20.1 µs ± 0.3 µs at 50 °C, ünder")
    assert raw.getvalue() == b"20.1 us +- 0.3 us at 50 C, \\xfcnder\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_escapes_where_they_are_not_wanted(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with redirect_stdout(Screen()) as screen:
        Reporter().table(validation_table_of_four())
    assert "\x1b" not in screen.getvalue()


def test_modules_add_up_to_the_total(stored):
    done = opclock("estimate", stored / "trace.json", "--profile", stored / "one.sqlite", "--json", "-")
    data = json.loads(done.stdout)
    assert sum(data["by_module"].values()) == pytest.approx(data["total_s"])


CEILINGS = Ceilings(
    1, {"float32": 1e11, "int8": 4e11},
    {f"pattern {number}": {1 << 14: 3.11e11, 1 << 26: 2e10} for number in range(6)}, {1 << 14: 9e8, 1 << 26: 1e7},
)  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80])
def test_ceilings_and_traces_fit(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert fits(on_screen(Reporter().table, ceilings_tables.memory_table(CEILINGS)), columns)
    lines = on_screen(Reporter().table, trace_table.table(chain("conv2d", "adaptive_avg_pool2d")))
    assert fits(lines, columns)
    assert "aten::adaptive_avg_pool2d" in " ".join(lines)
