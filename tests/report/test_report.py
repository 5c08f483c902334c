"""Findings from validations made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import validation_row as row
from matplotlib.backends.backend_agg import FigureCanvasAgg

from opclock.report.hidden_costs_page import write_report
from opclock.report.plots import FIGURES
from opclock.report.validation_tables import explanation_sentence, explanation_table, summary_sentence, table
from opclock.studies import hidden_costs_results
from opclock.studies.hidden_costs_results import HiddenCosts
from opclock.validation.attribution import Explanation
from opclock.validation.results import Validation, class_table, error_summary, validation_table
from opclock.validation.validate import with_regression

BOARD_FACTS = {"model": "a board", "identity": "a board, 2 cores", "opclock": "0.1.0", "commit": "abc"}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(hidden_costs_results, "RESAMPLES", 50)


@pytest.fixture
def validation() -> Validation:
    rows = [row("small", 8, 2e-3, 2.1e-3), row("middle", 16, 1e-3, 1e-3), row("large", 64, 5e-3, 4.8e-3),
            row("huge", 128, 9e-3, 9.9e-3)]  # fmt: skip
    return Validation(BOARD_FACTS, with_regression(rows))


def test_errors_by_hand(validation):
    summary = validation.summary()
    references = np.array([2.01e-3, 1.005e-3, 5.025e-3, 9.045e-3])
    errors = np.abs(np.array([2.1e-3, 1e-3, 4.8e-3, 9.9e-3]) / references - 1)
    assert summary["mape"] == pytest.approx(errors.mean())
    assert summary["max_abs_error"] == pytest.approx(errors.max())
    assert summary["within_5pct"] == 0.75
    assert summary["within_10pct"] == 1.0
    assert summary["repeat_mape"] == pytest.approx(0.01)
    assert summary["spearman_macs"] == pytest.approx(0.8)
    assert summary["kendall_macs"] == pytest.approx(2 / 3)
    assert (summary["models"], summary["left_out"]) == (4, [])


def test_no_errors_no_summary():
    assert error_summary([]) == {"mape": None, "within_5pct": None, "within_10pct": None, "max_abs_error": None}


def test_inversions_are_those_beyond_the_noise(validation):
    study = HiddenCosts.of(validation)
    assert [(pair.fewer_macs, pair.more_macs) for pair in study.inversions] == [("small", "middle")]
    assert study.inversions[0].macs_ratio == 0.25
    assert study.inversions[0].time_ratio == pytest.approx(2)
    assert any(words.startswith("In 1 pair of models the one") for words in study.words())
    noisy = Validation(BOARD_FACTS, with_regression([row("a", 8, 1.05e-3, 1e-3, 1.1), row("b", 16, 1e-3, 1e-3, 1.1),
                                                     row("c", 32, 3e-3, 3e-3)]))  # fmt: skip
    assert HiddenCosts.of(noisy).inversions == ()


def test_correlation_has_an_interval_around_it(validation):
    study = HiddenCosts.of(validation)
    assert study.spearman.low <= study.spearman.value <= study.spearman.high
    assert study.kendall.low <= study.kendall.value <= study.kendall.high


def test_words_name_the_numbers(validation):
    text = " ".join(HiddenCosts.of(validation).words())
    assert "MAC count does not explain this board" in text
    assert "host (20.0 %)" in text
    assert "small has 0.25 times the MACs of middle" in text


def test_words_begin_with_the_models_whose_times_are_not_reliable(validation):
    """A study of contended times stated its findings as facts."""
    first, *others = validation.rows
    doubtful = replace(validation, rows=(replace(first, flags=("contended",)), *others))
    study = HiddenCosts.of(doubtful)
    assert "1 of 4 models are not reliable (small), so what follows leaves them out" in study.words()[0]
    assert study.inversions == ()  # "small" was the only one
    few = replace(validation, rows=(replace(first, flags=("contended",)), *others[:2]))
    words = HiddenCosts.of(few).words()
    assert "so what follows does not hold yet" in words[0]
    assert not any("MAC count" in sentence for sentence in words)  # a verdict from the two that are reliable
    assert any("estimate misses by" in sentence and "on average of 2 models" in sentence for sentence in words)
    assert len(HiddenCosts.of(few).counting) == 3


def with_flags(validation, flags, count):
    rows = [replace(row, flags=flags if number < count else ()) for number, row in enumerate(validation.rows)]
    return replace(validation, rows=tuple(rows))


def test_means_leave_out_models_whose_times_are_not_reliable(validation):
    """A contended model that was 90 % off counted like any other."""
    summary, all_rows = with_flags(validation, ("contended",), 2).summary(), validation.rows
    assert summary["mape"] == pytest.approx(np.mean([abs(row.error) for row in all_rows[2:]]))
    back_to_back = np.mean([abs(row.baseline_error("back_to_back")) for row in all_rows[2:]])
    assert summary["baselines"]["back_to_back"]["mape"] == pytest.approx(back_to_back)
    assert (summary["models"], summary["left_out"]) == (2, ["small", "middle"])
    assert "left out, as not reliable: 2 of 4 (small, middle)" in summary_sentence(summary)
    assert with_flags(validation, ("from_sweep",), 2).summary() == validation.summary()
    none = with_flags(validation, ("imprecise",), 4)
    assert (none.summary()["mape"], none.summary()["repeat_mape"]) == (None, None)
    assert "the times of no model are reliable (small, middle, large, huge)" in summary_sentence(none.summary())
    assert HiddenCosts.of(none).words()


def test_tables(validation):
    frame = validation_table(validation)
    assert list(frame["model"]) == ["small", "middle", "large", "huge"]
    assert (frame[["mac_share", "non_mac_share", "host_share"]].sum(axis=1) - 1).abs().max() < 1e-9
    assert set(class_table(validation).columns) == {"gemm", "host", "activation"}
    assert class_table(validation).columns[0] == "gemm"
    assert table(frame).records()[1]["error"] == "-0.5 %"


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_and_models_whose_times_are_not_reliable_are_marked(validation, name):
    figure = FIGURES[name](HiddenCosts.of(with_flags(validation, ("contended", "imprecise"), 1)))
    FigureCanvasAgg(figure).draw()
    for text in written(figure):
        if not text.get_text():
            continue
        extent = text.get_window_extent()
        assert figure.bbox.padded(2).contains(extent.x0, extent.y0), text.get_text()
        assert figure.bbox.padded(2).contains(extent.x1, extent.y1), text.get_text()
    (axes,) = figure.axes
    texts = [text.get_text() for text in written(figure)]
    assert any("not reliable (contended, imprecise)" in text for text in texts)
    assert any("small *" in text for text in texts) or "hollow: not reliable" in axes.xaxis.label.get_text()
    points = [colours for drawn in axes.collections if len(colours := drawn.get_facecolors()) == 4]
    assert all(colours[0, :3].tolist() == [1, 1, 1] != colours[1, :3].tolist() for colours in points)


def written(figure):
    """Every text of the figure that is drawn; ticks beyond an axis' limits are not."""
    (axes,) = figure.axes
    legends = [legend for legend in (axes.get_legend(), *figure.legends) if legend]
    yield from (axes.title, axes._left_title, *axes.texts)
    for legend in legends:
        yield from legend.get_texts()
    if axes.axison:
        yield from (axes.xaxis.label, axes.yaxis.label)
        low, high = sorted(axes.get_ylim())
        yield from (tick.label1 for tick in axes.yaxis.get_major_ticks() if low <= tick.get_loc() <= high)


def test_explanation_by_hand(validation):
    """Two kernels and the host: 0.6, 0.2 and 0.2 of 2.1 ms estimated."""
    made = validation.rows[0].estimate
    found = Explanation(
        validation.rows[0].trace,
        made,
        reference_s=2e-3,
        replay=np.array([[1.2e-3, 0.3e-3]] * 3),
        observed=np.array([[1.3e-3, 0.4e-3]] * 3),
        observed_host=np.array([[0.1e-3, 0.1e-3, 0.05e-3]] * 3),
    )
    assert found.condition_s == pytest.approx(0.8 * 2.1e-3 - 1.7e-3)
    assert found.host_s == pytest.approx(made.host_s - 0.25e-3)
    assert found.condition_s + found.host_s + found.left_s == pytest.approx(0.1e-3)
    assert found.host_by_replay_s == pytest.approx(0.5e-3)
    classes = found.by_class().set_index("class")
    assert list(classes.index) == ["gemm", "activation", "host"]
    assert classes.loc["gemm", "difference_s"] == pytest.approx(0.6 * 2.1e-3 - 1.3e-3)
    assert explanation_table(found).records()[0]["in-order replay (ms)"] == "1.20"
    assert "estimate - measured = +100 µs" in explanation_sentence(found)
    json.dumps(found.to_json(), allow_nan=False)


def test_report_is_whole_and_self_contained(validation, tmp_path):
    write_report(HiddenCosts.of(validation), tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert 'src="data:image/png;base64,' in page
    assert "http" not in page.replace("http-equiv", "")
    data = json.loads((tmp_path / "hidden-costs.json").read_text())
    assert data["schema"] == "opclock.hidden-costs/1"
    for name in FIGURES:
        for suffix in ("png", "svg"):
            assert (tmp_path / f"{name.replace('_', '-')}.{suffix}").stat().st_size > 1000
    assert not list(tmp_path.glob("*.part"))
