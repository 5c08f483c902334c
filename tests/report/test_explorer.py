"""The page of opclock explore, without a browser: what it holds, and what is refused."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import BOARD, chain, filled, opclock, validation_row

from opclock.estimation.estimate_file import document
from opclock.files import write_json
from opclock.profiles.profile import Profile
from opclock.validation.attribution import Explanation
from opclock.validation.results import Validation

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture(autouse=True)
def library(monkeypatch):
    """Stands for plotly, which has five megabytes."""
    monkeypatch.setitem(sys.modules, "plotly", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "plotly.offline", SimpleNamespace(get_plotlyjs=lambda: "/* library */"))


def explored(*files, folder):
    """The page of these files, and the data in it."""
    target = folder / "page.html"
    done = opclock("explore", *files, "--page", target)
    assert done.returncode == 0, done.stderr
    page = target.read_text(encoding="utf-8")
    return page, json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page).group(1))


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "board.sqlite"
    filled(path, chain("conv2d", "relu"), {"conv2d": 3e-3, "relu": 1e-3}, host_s=1e-6)
    with Profile.create_or_open(path, BOARD) as opened:
        opened.add_ceiling("multiply_adds_float32", 0, 2, 1e9)
        opened.add_ceiling("copy_bytes_per_s", 1 << 20, 2, 1e9)
    return path


@pytest.fixture
def estimate_file(tmp_path, profile):
    trace, target = tmp_path / "chain.json", tmp_path / "estimate.json"
    chain("conv2d", "relu").save(trace)
    done = opclock("estimate", trace, "--profile", profile, "--json", target)
    assert done.returncode == 0, done.stderr
    return target


def test_an_estimate(estimate_file, tmp_path):
    page, data = explored(estimate_file, folder=tmp_path)
    (side,) = data["sides"]
    assert side["model"] == "chain"
    assert side["measured_s"] is None
    assert side["total_s"] == pytest.approx(sum(part["kernel_s"] + part["host_s"] for part in side["parts"]) + 1e-6)
    first = side["parts"][0]
    assert first["op_call"] == "aten::conv2d(float32[1x4x8x8], float32[4x4x1x1])"
    assert first["roofline_s"] == pytest.approx((2 * 256 + 16) * 4 / 1e9)  # it moves more than it multiplies
    assert first["validity"] == "valid"
    assert data["second"] is None
    assert "/* library */" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page), "nothing is fetched"
    assert "default-src 'none'" in page


def test_a_validation_with_what_was_observed(tmp_path):
    row = validation_row("small", 8, 1e-3, 1.1e-3)
    observed = Explanation(row.trace, row.estimate, 1e-3, np.full((5, 2), 3e-4), np.full((5, 2), 3e-4),
                           np.full((5, 3), 1e-4))  # fmt: skip
    rows = (replace(row, explanation=observed), validation_row("other", 8, 2e-3, 2e-3))
    target = tmp_path / "validation.json"
    write_json(target, Validation(BOARD.to_json(), rows).to_json())
    _, data = explored(target, folder=tmp_path)
    first, second = data["sides"]
    assert first["measured_s"] == rows[0].reference.median_s
    assert [part["observed_s"] for part in first["parts"]] == pytest.approx([3e-4, 3e-4])
    assert [part["observed_s"] for part in second["parts"]] == [None, None]


def test_a_profile_of_an_earlier_version_has_types_in_place_of_modules(profile, tmp_path):
    _, data = explored(profile, folder=tmp_path)
    (side,) = data["sides"]
    assert side["model"] == "model of 2 op calls"
    assert [part["module"] for part in side["parts"]] == ["Conv2D", "Relu"]
    assert side["total_s"] == pytest.approx(4e-3, rel=1e-2)


def test_a_profile_names_its_models_and_their_modules(tmp_path):
    path, trace = tmp_path / "board.sqlite", chain("conv2d", "relu")
    modules = [[traced.module, traced.module_type] for traced in trace.calls]
    filled(path, trace, {"conv2d": 3e-3, "relu": 1e-3}, host_s=1e-6,
           context={"model": {"name": "named", "modules": modules}})  # fmt: skip
    _, data = explored(path, folder=tmp_path)
    (side,) = data["sides"]
    assert side["model"] == "named"
    assert [part["module"] for part in side["parts"]] == ["layer0", "layer1"]
    assert side["total_s"] == pytest.approx(4e-3 + 3e-6)
    assert side["flags"] == []  # its own host is found


def test_two_files_are_shown_beside_each_other(estimate_file, profile, tmp_path):
    _, data = explored(estimate_file, profile, folder=tmp_path)
    assert data["second"] == 1
    assert [side["name"].rpartition("(")[2] for side in data["sides"]] == ["estimate.json)", "board.sqlite)"]


def test_a_name_cannot_end_the_data(tmp_path):
    estimate = replace(validation_row("small", 8, 1e-3, 1e-3).estimate, model=EVIL)
    target = tmp_path / "evil.json"
    write_json(target, document(estimate))
    page, data = explored(target, folder=tmp_path)
    assert data["sides"][0]["model"] == EVIL
    assert EVIL not in page


@pytest.mark.parametrize(("content", "message"), [
    ("{", "not JSON"),
    ("{}", "not an estimate"),
    ("[]", "not an estimate"),
    ('{"rows": [{}]}', "damaged validation"),
    ('{"rows": [1]}', "damaged validation"),
    ('{"rows": []}', "without a model"),
    ('{"rows": [{"estimate": {"total_s": 1}}]}', "not an estimate"),
])  # fmt: skip
def test_what_is_no_result_is_refused_in_one_line(content, message, tmp_path):
    target = tmp_path / "x.json"
    target.write_text(content)
    done = opclock("explore", target, "--page", tmp_path / "page.html")
    assert done.returncode == 2
    assert message in done.stderr
    assert str(target) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "page.html").exists()


def test_a_profile_without_a_model_names_the_next_step(tmp_path):
    path = tmp_path / "empty.sqlite"
    with Profile.create_or_open(path, BOARD):
        pass
    done = opclock("explore", path, "--page", tmp_path / "page.html")
    assert done.returncode == 2
    assert "opclock measure" in done.stderr


def test_without_plotly_it_says_so(estimate_file, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "plotly.offline")
    monkeypatch.setitem(sys.modules, "plotly", None)
    done = opclock("explore", estimate_file, "--page", tmp_path / "page.html")
    assert done.returncode == 2
    assert "opclock[explore]" in done.stderr
    (tmp_path / "x.json").write_text("{")
    done = opclock("explore", tmp_path / "x.json", "--page", tmp_path / "page.html")
    assert "x.json is not JSON" in done.stderr  # which no installation would mend
