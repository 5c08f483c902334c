"""Study B's arithmetic on numbers made by hand, and its folder."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import opclock

from opclock.benchmarking.result import BenchRow
from opclock.cli.main import commands
from opclock.errors import ReportError
from opclock.report.landscape import failures, geometric_mean, latency_table, relative_speedups, runtime_table, words
from opclock.report.landscape_page import write_page
from opclock.report.landscape_plots import batch_curves, landscape, speedups
from opclock.report.landscape_tables import non_mac
from opclock.runtimes.runtime import OperatorTime, Settings
from opclock.studies.landscape_results import FILE, Entry, Landscape

BOARD = {"identity": "a test board", "opclock": "0.1.0", "commit": "abc"}


def row(runtime, seconds, batch=1, operators=()):
    return BenchRow(runtime, batch, samples=np.full(4, seconds), operators=operators, peak_bytes=10**8)


def operator_times(mac_s, other_s):
    return (OperatorTime("conv", "Conv", mac_s, is_mac=True), OperatorTime("cat", "Concat", other_s, is_mac=False))


def entry(model="resnet50-224", task="classification", scale=1.0, post=()):
    rows = (
        row("eager", 10.0 * scale),
        row("openvino", 4.0 * scale, operators=operator_times(3.0 * scale, 0.5 * scale)),
        row("litert", 8.0 * scale),
        row("ncnn", 5.0 * scale),
        BenchRow("executorch", 1, "failed", "convert: no"),
    )
    batches = (row("eager", 10.0 * scale), row("eager", 12.0 * scale, 2), row("eager", 24.0 * scale, 4))
    classes_s = {"convolution": 5.0 * scale, "gemm": 1.0 * scale, "host": 2.0 * scale, "concat": 2.0 * scale}
    return Entry(model, task, rows, batches, classes_s, np.array(post, dtype=float))


def board(label="one", scale=1.0):
    entries = (entry(scale=scale), entry("yolox", "detection", 2 * scale, post=[1.0, 3.0, 2.0]))
    return Landscape(label, BOARD, Settings(2), entries, 60.0)


def test_eagers_parts_are_the_estimates_shares_of_what_was_measured():
    split = entry().split("eager")
    assert (split.mac_s, split.non_mac_s, split.basis) == (6.0, 4.0, "estimate")


def test_reported_operators_leave_the_rest_to_the_host():
    split = entry().split("openvino")
    assert (split.mac_s, split.non_mac_s, split.basis) == (3.0, 1.0, "operators")
    assert entry().removed("openvino") == pytest.approx(0.75)


def test_operators_that_take_longer_than_the_run_are_scaled_to_it():
    slow = Entry("m", "t", (row("eager", 10.0), row("openvino", 4.0, operators=operator_times(6.0, 2.0))), (),
                 {"convolution": 1.0}, np.empty(0))  # fmt: skip
    assert slow.split("openvino").mac_s == pytest.approx(3.0)
    assert slow.split("openvino").non_mac_s == pytest.approx(1.0)


def test_a_runtime_that_reports_no_operators_is_not_guessed_at():
    assert entry().split("litert") is None
    assert np.isnan(entry().removed("litert"))
    shown = non_mac(board())
    assert dict(zip((column.name for column in shown.columns), shown.rows()[0], strict=True))["litert"] == "not told"


def test_nothing_is_known_without_an_estimate_or_a_number():
    assert replace(entry(), classes_s={}).split("openvino").basis == "operators"
    assert entry().split("executorch") is None
    assert np.isnan(entry().speedup("executorch"))
    assert Entry("m", "t", (row("eager", 1.0),), (), {}, np.empty(0)).split("eager") is None


def test_runtimes_over_models():
    table = runtime_table(board()).set_index("runtime")
    assert table.loc["openvino", "speedup"] == pytest.approx(2.5)
    assert table.loc["openvino", "speedup_detection"] == pytest.approx(2.5)
    assert table.loc["openvino", "mac_speedup"] == pytest.approx(2.0)
    assert table.loc["openvino", "non_mac_removed"] == pytest.approx(0.75)
    assert table.loc["executorch", "models"] == 0
    assert np.isnan(table.loc["litert", "mac_speedup"])


def test_means_leave_out_times_that_are_not_reliable():
    first, second = board().entries
    contended = replace(row("openvino", 1.0), flags=("contended",))
    bad = replace(second, rows=(second.rows[0], contended, *second.rows[2:]))
    doubtful = replace(board(), entries=(first, bad))
    table = runtime_table(doubtful).set_index("runtime")
    assert table.loc["openvino", ["models", "left_out", "speedup"]].tolist() == [2, 1, pytest.approx(2.5)]
    assert words(doubtful)[0].startswith("1 of 8 times at batch 1 are not reliable")
    assert {one.runtime: one.models for one in relative_speedups([board(), doubtful]) if one.task == "detection"} == {
        "eager": 1, "litert": 1, "ncnn": 1
    }  # fmt: skip
    titles = [axes.get_title(loc="left") for draw in (landscape, speedups) for axes in draw([doubtful]).axes]
    assert [("not reliable" in title) for title in titles] == [True, True]


def test_geometric_mean():
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert geometric_mean([2.0, float("nan")]) == pytest.approx(2.0)
    assert np.isnan(geometric_mean([]))


def test_the_legend_has_every_runtime_of_every_board():
    """It had those of the first board, and matplotlib warned of it where there was eager alone."""

    def legend(*rows):
        boards = [replace(board(), entries=(replace(entry(), rows=some, batches=()),)) for some in rows]
        return [text.get_text() for one in speedups(boards).legends for text in one.get_texts()]

    eager = row("eager", 10.0)
    assert legend((eager,)) == []
    assert legend((eager,), (eager, row("ncnn", 5.0))) == ["ncnn"]
    batch_curves([replace(board(), entries=(replace(entry(), rows=(eager,), batches=()),))])


def test_boards_against_the_first():
    speedups = relative_speedups([board(), board("two", 0.5)])
    assert {(speedup.task, speedup.runtime) for speedup in speedups} == {
        (task, runtime)
        for task in ("classification", "detection")
        for runtime in ("eager", "openvino", "litert", "ncnn")
    }
    assert all(
        speedup.speedup == pytest.approx(2.0) and speedup.low <= speedup.speedup <= speedup.high for speedup in speedups
    )
    assert relative_speedups([board()]) == []


def test_intervals_of_boards_are_those_of_the_medians():
    def noisy(label, middle):
        samples = np.array([0.8, 0.9, 1.0, 1.1, 1.25]) * middle
        mine = Entry("m", "t", (BenchRow("eager", 1, samples=samples),), (), {}, np.empty(0))
        return Landscape(label, BOARD, Settings(1), (mine,))

    boards = [noisy("one", 2.0), noisy("two", 1.0)]
    (speedup,) = relative_speedups(boards)
    low, high = boards[1].entries[0].rows[0].interval_s
    half = np.sqrt(2) * np.log(high / low) / 2
    assert speedup.speedup == pytest.approx(2.0)
    assert speedup.high == pytest.approx(2.0 * np.exp(half))
    assert speedup.low == pytest.approx(2.0 / np.exp(half))


def test_words_name_the_numbers():
    text = " ".join(words(board()))
    assert "openvino 2.50 times" in text
    assert "40.0 % of a model's time lies outside" in text
    assert "openvino 75.0 %" in text
    assert "at batch 2" in text
    assert "(yolox)" in text
    assert "No number from: executorch" in text


def test_failures_keep_their_reasons():
    assert [(one["runtime"], one["reason"]) for one in failures(board())] == [("executorch", "convert: no")] * 2


def test_files_come_back(tmp_path):
    landscape = board()
    landscape.save(tmp_path / FILE)
    assert Landscape.load(tmp_path / FILE).to_json() == landscape.to_json()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "opclock.landscape/1"}', '{"schema": "other/1"}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ReportError, match=r"other\.json"):
        Landscape.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ReportError, match="cannot read"):
        Landscape.load(tmp_path / "none.json")


def test_the_page_needs_no_other_file_and_escapes_what_others_wrote(tmp_path):
    odd = Landscape("<script>", BOARD, Settings(2), board().entries)
    write_page([odd, board("two", 0.5)], tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "<script>" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "nan" not in re.sub(r'src="data:[^"]*"', "", page).lower()
    for name in ("landscape", "speedups", "non-mac-time", "batch-curves", "board-speedups"):
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000
    assert len((tmp_path / "latency.csv").read_text().splitlines()) == 1 + 2 * 10
    assert json.loads((tmp_path / "findings.json").read_text())["boards"] == ["<script>", "two"]


def test_combine_from_the_command_line(tmp_path):
    for name, scale in (("one", 1.0), ("two", 0.5)):
        board(name, scale).save(tmp_path / f"{name}.json")
    done = CliRunner().invoke(commands, ["study", "landscape", "--report", str(tmp_path / "both"), "--combine",
                                         str(tmp_path / "one.json"), str(tmp_path / "two.json")])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "both" / "boards.csv").is_file()
    assert not (tmp_path / "both" / FILE).exists()


def test_tables_have_a_row_for_every_model_and_runtime():
    table = latency_table(board())
    assert len(table) == 10
    assert set(table["status"]) == {"ok", "failed"}


def test_ctrl_c_says_how_many_models_are_finished(tmp_path, monkeypatch):
    def interrupted(folder, **_options):
        board().save(folder / FILE)
        raise KeyboardInterrupt

    monkeypatch.setattr("opclock.studies.landscape.run", interrupted)
    done = opclock("study", "landscape", "--report", tmp_path)
    assert done.returncode == 130
    assert f"2 finished models kept in {tmp_path / FILE}: the same command goes on with the others" in done.stderr
