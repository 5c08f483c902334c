"""Tables on terminals of 80, 100 and 120 columns, and through a pipe. Nothing is timed."""

from __future__ import annotations

from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import Screen, chain, validation_row
from screens import fits, on_screen, piped

from opclock.benchmarking.bench import Bench
from opclock.benchmarking.result import BenchRow
from opclock.cli.reporting import Reporter
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
from opclock.runtimes.runtime import Settings
from opclock.studies.landscape_results import Landscape
from opclock.validation.results import Validation, validation_table
from opclock.validation.validate import with_regression

MODELS = ("MobileNetV2", "efficientnet_v2_rw_s", "resnet50", "vgg16")


CEILINGS = Ceilings(
    1, {"float32": 1e11, "int8": 4e11},
    {f"pattern {number}": {1 << 14: 3.11e11, 1 << 26: 2e10} for number in range(6)}, {1 << 14: 9e8, 1 << 26: 1e7},
)  # fmt: skip


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


def test_columns_are_respected_through_a_pipe(width):
    assert fits(piped(Reporter().table, validation_table_of_four()).splitlines(), width)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_escapes_where_they_are_not_wanted(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with redirect_stdout(Screen()) as screen:
        Reporter().table(validation_table_of_four())
    assert "\x1b" not in screen.getvalue()


@pytest.mark.parametrize("columns", [40, 80])
def test_ceilings_and_traces_fit(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert fits(on_screen(Reporter().table, ceilings_tables.memory_table(CEILINGS)), columns)
    lines = on_screen(Reporter().table, trace_table.table(chain("conv2d", "adaptive_avg_pool2d")))
    assert fits(lines, columns)
    assert "aten::adaptive_avg_pool2d" in " ".join(lines)
