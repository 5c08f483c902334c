"""What notebooks show: short HTML that needs nothing else, in which every text is escaped."""

from __future__ import annotations

import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers import BOARD, board_profile, chain, filled, validation_row

from opclock.benchmarking.bench import Bench
from opclock.benchmarking.result import BenchRow
from opclock.estimation.estimate import estimate
from opclock.profiles.profile import Profile
from opclock.runtimes.runtime import Settings
from opclock.sweeps.results import SweepFrame
from opclock.validation.results import Validation
from opclock.validation.validate import with_regression

EVIL = "<script>alert('x')</script>"
MAX_BYTES = 10_000
SWEEP = {"family": EVIL, "m": 8, "median_s": 2e-5, "low_s": 1.9e-5, "high_s": 2.1e-5, "gmacs_per_s": 3.0,
         "gb_per_s": 4.0, "ceiling_share": 0.5, "validity": "imprecise", "flags": "imprecise"}  # fmt: skip


def an_estimate(tmp_path):
    trace = chain("conv2d", *["relu"] * 20, model=EVIL)
    path = tmp_path / "p.sqlite"
    filled(path, trace, {"conv2d": 3e-3, "relu": 1e-3}, flags=("throttled",))
    with Profile.open(path) as profile:
        return estimate(trace, profile, threads=2)


def a_bench(_path):
    row = BenchRow("eager", 1, "ok", "", {}, 1.0, 1.0, 1.0, samples=np.full(20, 1e-3))
    return Bench(EVIL, Settings(2), BOARD.to_json(), (row, replace(row, runtime="other", status="failed", reason=EVIL)))


def a_validation(_path):
    rows = with_regression([validation_row(EVIL, 8, 1e-3, 1e-3)])
    return Validation(BOARD.to_json(), rows)


RESULTS = {
    "trace": lambda _path: replace(chain("conv2d", model=EVIL), note=EVIL),
    "estimate": an_estimate,
    "validation": a_validation,
    "bench": a_bench,
    "sweep": lambda _path: SweepFrame([SWEEP]),
}


class Page(HTMLParser):
    """Tags, which must be balanced, and texts."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.texts = [], set(), []
        self.feed(page)
        assert not self.open, f"{self.open} is not closed"

    def handle_starttag(self, tag, attributes):
        assert not {name for name, _ in attributes} - {"class"}, "nothing is fetched, nothing runs"
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("kind", RESULTS)
def test_short_self_contained_and_escaped(kind, tmp_path):
    shown = RESULTS[kind](tmp_path)._repr_html_()
    page = Page(shown)
    assert EVIL in " ".join(page.texts)
    assert "script" not in page.tags
    assert "url(" not in shown
    assert len(shown.encode()) < MAX_BYTES


def test_long_tables_are_cut_and_flags_explained(tmp_path):
    texts = Page(an_estimate(tmp_path)._repr_html_()).texts
    assert "10 more rows" in texts  # 21 modules, and after the last op call
    assert any(text.startswith("throttled: The board ran slower") for text in texts)


def test_a_sweep_without_some_of_its_columns_is_shown_by_pandas():
    frame = SweepFrame([SWEEP] * 2)
    assert type(frame[frame["m"] == 8]) is SweepFrame
    assert "20.0" in frame._repr_html_()
    assert "dataframe" in frame[["m", "median_s"]]._repr_html_()


def test_without_jinja_a_notebook_shows_the_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in [name for name in sys.modules if name in ("opclock.report.notebook", "opclock.report.templates")]:
        monkeypatch.delitem(sys.modules, name)
    assert chain("relu")._repr_html_() is None


def test_sweeps_of_a_profile_are_shown(tmp_path):
    from opclock.sweeps.results import sweep_rows, sweep_table

    call = chain("relu").calls
    path = tmp_path / "p.sqlite"
    board_profile(path, call, np.array([1e-4]))
    with Profile.create_or_open(path, BOARD) as profile:
        profile.name_configurations([("elementwise", '{"m": 8}', call[0].call.key)])
        frame = sweep_table(sweep_rows(profile, threads=[2]))
    assert "100" in frame._repr_html_()
