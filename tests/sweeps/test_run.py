"""Sweeps on the machine that runs the tests."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import opclock, refused

import opclock as package
from opclock.board.identity import read_board
from opclock.errors import OptionError
from opclock.flags import UNTRUSTED
from opclock.prediction.ceilings import Ceilings
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.sweeps import FAMILIES, grouping, run
from opclock.sweeps.amount import FOR_PREDICTORS, FOR_ROWS, Amount
from opclock.sweeps.binding import plan_all
from opclock.sweeps.configuration import grid
from opclock.sweeps.duration import expected_s
from opclock.sweeps.export import exported, google_benchmark
from opclock.sweeps.parts import Part
from opclock.sweeps.results import sweep_rows, sweep_table
from opclock.sweeps.run import run_sweep
from opclock.timing import ceiling_runs
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.tracing.macs import bytes_per_call

ROOT = Path(__file__).resolve().parents[2]
SMALL_BUFFER = 1 << 18
SMALL = {"channels": [16, 64], "size": [7, 14], "operator": ["add", "relu"], "layout": ["contiguous", "in_place"]}


@pytest.fixture(scope="module")
def only_ceilings(tmp_path_factory):
    """A profile with this machine's ceilings for one thread, of large buffers too as of a small one."""
    path = tmp_path_factory.mktemp("ceilings") / "board.sqlite"
    measured = ceiling_runs._rate
    with pytest.MonkeyPatch.context() as patch, Profile.create_or_open(path, read_board()) as profile:
        patch.setattr(
            ceiling_runs, "_rate", lambda name, nbytes, *more: measured(name, min(nbytes, SMALL_BUFFER), *more)
        )
        measure_ceilings(profile, 1)
    return path


@pytest.fixture
def path(only_ceilings, tmp_path, monkeypatch):
    """A copy of it for one test, whose sweeps are short."""
    monkeypatch.setattr(run, "FOR_ROWS", Amount(blocks=5, block_s=0.01, fewest=1, most=3))
    return shutil.copy(only_ceilings, tmp_path / "board.sqlite")


@pytest.fixture(scope="module")
def swept(only_ceilings, tmp_path_factory):
    """A profile with a small sweep in it."""
    path = shutil.copy(only_ceilings, tmp_path_factory.mktemp("sweep") / "board.sqlite")
    with Profile.create_or_open(path, read_board()) as profile:
        planned, _ = plan_all(grid("elementwise", SMALL)[0] + grid("gemm", {"m": [1, 64], "n": 64, "k": 64})[0])
        done = run_sweep(planned, profile, threads=1)
        assert (done.timed, done.known) == (18, 0)
        yield profile, planned


def rows_of(swept):
    return list(sweep_rows(swept[0], threads=[1]))


def test_a_row_for_each_configuration(swept):
    table = sweep_table(rows_of(swept))
    assert len(table) == 18
    assert set(table["validity"]) <= {"valid", *UNTRUSTED}
    assert (table["low_s"] <= table["median_s"]).all()
    assert (table["median_s"] <= table["high_s"]).all()
    assert (table["samples"] >= 12).all()
    gemm = table[table["family"] == "gemm"].set_index("m")
    assert gemm.loc[64, "macs"] == 64**3
    assert gemm.loc[64, "bytes"] == 4 * (64 * 64 * 3 + 64)
    assert gemm.loc[64, "gmacs_per_s"] == pytest.approx(64**3 / gemm.loc[64, "median_s"] / 1e9)
    assert gemm.loc[64, "median_s"] > gemm.loc[1, "median_s"]


def test_a_pool_takes_as_many_rounds_as_were_fixed_before_its_first(swept):
    profile, _ = swept
    for number in profile.pools(["interleaved"], "cpu", 1):
        pool = profile.pool(number, all_rounds=True)
        blocks, rounds = np.unique(pool.blocks, return_counts=True)
        assert FOR_ROWS.blocks <= len(blocks) <= run.MOST * FOR_ROWS.blocks
        assert len(set(rounds)) == 1
        assert FOR_ROWS.fewest <= rounds[0] <= FOR_ROWS.most


def test_rounds_in_a_block_by_hand():
    assert [FOR_ROWS.in_block(round_s) for round_s in (1e-6, 0.05, 10.0)] == [15, 5, 3]
    assert [FOR_PREDICTORS.in_block(round_s) for round_s in (1e-6, 10.0)] == [8, 8]


def test_the_expected_duration_by_hand():
    planned, _ = plan_all(grid("gemm", {"m": 64, "n": 64, "k": 64})[0])
    ceilings = Mock(spec=Ceilings, **{"call_s.return_value": 0.3 * 0.045})  # a round takes 45 ms, so a block has 5
    assert expected_s(planned, ceilings) == pytest.approx((20 * (5 + 1) + 8) * 0.045, rel=0.01)
    assert expected_s(planned, ceilings, networks=2) == pytest.approx((4 * (8 + 1) + 8) * 0.045 + 2 * 1.2, rel=0.01)


def test_no_kernel_is_above_its_ceiling(swept):
    table = sweep_table(rows_of(swept))
    assert table["ceiling_share"].between(0, 1.03).all()


def test_what_was_timed_is_not_timed_again(swept):
    profile, planned = swept
    done = run_sweep(planned, profile, threads=1)
    assert (done.timed, done.known) == (0, 18)


def test_an_interruption_leaves_what_was_finished(path, monkeypatch):
    planned, _ = plan_all(grid("elementwise", {"channels": range(8, 90), "operator": ["relu", "add"]})[0])

    monkeypatch.setattr(grouping, "TOGETHER", 2)

    seen = []

    def stop(_text, fraction):
        seen.append(fraction)
        if seen.count(128 / 164) == 2:  # the first two of three pools have ended, and the last one begins
            raise KeyboardInterrupt

    with Profile.create_or_open(path, read_board()) as profile:
        with pytest.raises(KeyboardInterrupt):
            run_sweep(planned, profile, threads=1, progress=stop)
        finished = len(list(sweep_rows(profile, threads=[1])))
        assert 0 < finished < len(planned)
        done = run_sweep(planned, profile, threads=1)
        assert (done.timed, done.known) == (len(planned) - finished, finished)


def test_the_parts_of_a_split_sweep_have_all_kernels_and_share_the_first_pool(path, tmp_path, monkeypatch):
    monkeypatch.setattr(grouping, "POOL_CALLS", 2)
    planned, _ = plan_all(grid("elementwise", {"channels": [8, 16, 24], "operator": ["relu", "add"]})[0])
    timed = []
    for number in range(2):
        with Profile.create_or_open(shutil.copy(path, tmp_path / f"{number}.sqlite"), read_board()) as profile:
            part = Part(number, 2)
            done = run_sweep(planned, profile, threads=1, part=part)
            assert (done.timed, done.known) == (4, 0)
            assert run_sweep(planned, profile, threads=1, part=part).timed == 0
            timed.append({key for _, _, key in profile.configurations()})
    assert len(timed[0] | timed[1]) == len(planned) == 6
    assert len(timed[0] & timed[1]) == 2


def test_a_kernel_that_does_not_run_here_is_skipped_with_its_reason(path):
    planned, _ = plan_all(
        grid("elementwise", {"channels": 8, "operator": ["relu", "mish"], "dtype": ["float32", "int8"]})[0]
    )
    with Profile.create_or_open(path, read_board()) as profile:
        done = run_sweep(planned, profile, threads=1)
        assert done.timed + sum(done.skipped.values()) == len(planned)
        assert done.timed >= 2
        assert all("mish" in reason for reason in done.skipped)


@pytest.mark.usefixtures("quick_ceilings")
def test_the_loop_from_python(path):
    table = package.sweep("conv2d", in_channels=[8, 16], out_channels=[16], size=range(4, 9, 4), kernel=[1, 3],
                          groups=[1, "depthwise"], threads=[1, 2][: torch.get_num_threads()],
                          profile=path)  # fmt: skip
    assert len(table) == 16 * min(2, torch.get_num_threads())
    assert (table["macs"] > 0).all()


def test_sweeps_as_in_models_carry_the_host(path):
    planned, _ = plan_all(grid("gemm", {"m": [1, 64], "n": [8, 64], "k": 64})[0])
    with Profile.create_or_open(path, read_board()) as profile:
        run_sweep(planned, profile, threads=1, as_in_models=True)
        ((number, moved), *_) = profile.bytes_between_host(Condition.of("in_model", "cpu", 1, 1 << 20), 5)
        pool = profile.pool(number)
        calls = profile.traced(pool.keys)
        assert moved == bytes_per_call([calls[key] for key in pool.keys]) > 0
        assert pool.host_s.shape == (len(pool.control_s), len(pool.host_kinds))
        assert np.isfinite(pool.host_s).all()
        assert "Linear/aten::linear" in pool.host_kinds


@pytest.mark.usefixtures("quick_ceilings")
def test_the_document_on_families_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/add-a-kernel.md").read_text(), re.DOTALL)
    made: dict[str, object] = {}
    try:
        exec(compile(code, "add-a-kernel.md", "exec"), made)
    finally:
        FAMILIES.pop("gated", None)
    table = made["table"]
    assert isinstance(table, pd.DataFrame)
    assert len(table) == 6  # 30 columns in 4 gates cannot be
    assert "gmacs_per_s" in capsys.readouterr().out
    assert len(code.split("\n\n\n")[1].strip().splitlines()) <= 10


def test_exports(swept):
    rows = rows_of(swept)
    board = swept[0].board()
    csv = exported(rows, board, ".csv").decode().splitlines()
    assert len(csv) == 19
    pytest.importorskip("pyarrow")
    import io

    parquet = pd.read_parquet(io.BytesIO(exported(rows, board, ".parquet")))
    assert parquet["median_s"].tolist() == sweep_table(rows)["median_s"].tolist()
    with pytest.raises(OptionError, match=r"\.csv, \.parquet, \.json"):
        exported(rows, board, ".xlsx")


def test_google_benchmark_json_has_what_its_compare_script_reads(swept):
    data = google_benchmark(rows_of(swept), swept[0].board())
    assert data["context"]["num_cpus"] >= 1
    runs = data["benchmarks"]
    by_name = {}
    for one in runs:
        by_name.setdefault(one["name"], []).append(one)
        assert one["run_type"] == "iteration"
        assert one["time_unit"] == "ns"
        assert one["real_time"] > 0
    assert len(by_name) == 18
    for repetitions in by_name.values():
        assert [one["repetition_index"] for one in repetitions] == list(range(repetitions[0]["repetitions"]))
        assert len(repetitions) >= 9  # what its U test needs


def test_the_command_line(path, tmp_path):
    arguments = ("sweep", "gemm", "--m", "1,64", "--n", "64", "--k", "8:24:8", "--operator", "linear,mm",
                 "--threads", "1", "--profile", path)  # fmt: skip
    done = opclock(*arguments, "--json", tmp_path / "rows.json", "--export", tmp_path / "rows.csv")
    assert done.returncode == 0, done.stderr
    assert "12 kernels timed, 0 known" in done.stdout
    assert len(json.loads((tmp_path / "rows.json").read_text())["rows"]) == 12
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 13
    assert "0 kernels timed, 12 known" in opclock(*arguments).stdout
    told = opclock("profile", "info", path)
    assert "12 of gemm" in told.stdout
    compared = opclock("compare", path, path)
    assert " 0 faster, 0 slower," in compared.stdout
    assert "median ratio 1.000" in compared.stdout
    drawn = opclock("ceilings", "--threads", "1", "--profile", path, "--roofline", tmp_path / "roof.svg")
    assert drawn.returncode == 0, drawn.stderr
    assert "<svg" in (tmp_path / "roof.svg").read_text()
    with Profile.open(path) as profile:
        assert Ceilings.read(profile, 1).bandwidth(1 << 28) > 1e8


@pytest.mark.parametrize(("arguments", "words"), [
    (("sweep",), ("name a family", "--preset")),
    (("sweep", "convolve"), ("convolve",)),
    (("sweep", "conv2d", "--in-channels", "3", "--out-channels", "4", "--size", "8", "--groups", "2"),
     ("3 in_channels in 2 groups",)),
    (("sweep", "gemm", "--m", "1", "--n", "2", "--k", "x"), ("--k x: give whole numbers",)),
    (("sweep", "gemm", "--m", "1", "--n", "2", "--k", "2", "--threads", "999"), ("999",)),
    (("sweep", "gemm", "--m", "1", "--n", "2", "--k", "2", "--export", "rows.xlsx"), ("rows.xlsx", ".parquet")),
    (("sweep", "--preset", "quick", "gemm", "--m", "1", "--n", "1", "--k", "1"), ("leave the family out",)),
    (("ceilings", "--roofline", "roof.gif"), ("roof.gif",)),
    (("ceilings", "--model", "zoo:vgg16"), ("--roofline",)),
    (("compare", "one.sqlite", "two.sqlite"), ("no profile one.sqlite",)),
    (("profile", "info", "nowhere.sqlite"), ("nowhere.sqlite",)),
    (("profile", "merge", "one.sqlite", "two.sqlite"), ("one.sqlite",)),
])  # fmt: skip
def test_refusals(tmp_path, arguments, words):
    refused(opclock(*arguments, cwd=tmp_path), *words)
    assert list(tmp_path.iterdir()) == []


def test_memcpy_moves_bytes():
    subprocess.run(
        [sys.executable, "-c", "from opclock.extension import load_aten\nimport torch\nload_aten()\n"
         "a, b = torch.randn(100), torch.zeros(100)\ntorch.ops.opclock.memcpy(a, b)\nassert a.equal(b)\n"
         "try: torch.ops.opclock.memcpy(a, b[:5].clone())\nexcept RuntimeError as error: assert 'bytes' in str(error)\n"
         "else: raise SystemExit(1)\n"],
        check=True,
    )  # fmt: skip


def test_a_sweep_that_has_just_begun_does_not_replace_a_finished_one(profile):
    (planned,), _ = plan_all(grid("elementwise", {"channels": [16], "size": [7], "operator": ["relu"]})[0])
    key, condition = planned.call.key, Condition("interleaved", "cpu", 1, 20)
    for seconds, ended in ((1.0, True), (2.0, True), (9.0, False)):
        pool = profile.start_pool(condition, [key], [1], signature="s", calls=[planned.traced])
        profile.add_rounds(pool, np.full((8, 1), seconds), np.ones(8), None)
        if ended:
            profile.end_pool(pool, "settled", ["narrow"], {})
    profile.name_configurations([("elementwise", planned.configuration.parameters_text, key)])
    (row,) = sweep_rows(profile, threads=[1])
    assert row.measurement.median_s == 2.0
