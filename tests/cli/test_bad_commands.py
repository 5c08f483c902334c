"""Commands that are nearly right: what they do, or what they say is right."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers import opclock as run
from helpers import refused

import opclock
from opclock import doctor
from opclock.board import system
from opclock.cli.main import main
from opclock.cli.sweep import sweep
from opclock.timing.ceiling_runs import ALL_CEILINGS, ALL_S, ceilings_left_s


def test_a_repeated_parameter_adds_values(monkeypatch):
    grids = []

    def seen(name, given):
        grids.append(given)
        raise opclock.SweepError("enough")

    monkeypatch.setattr("opclock.cli.sweep.grid", seen)
    with pytest.raises(opclock.SweepError, match="enough"):
        sweep.main(["gemm", "--m", "8", "--m", "16,24", "--n", "8", "--k", "8"], standalone_mode=False)
    assert grids == [{"m": [8, 16, 24], "n": [8], "k": [8]}]


def test_a_parameter_without_dashes_is_written_right(capsys):
    with pytest.raises(SystemExit) as end:
        main(["sweep", "gemm", "m=8"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "opclock: m=8: write --m 8\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["farm", "stop"], "no command 'stop'; there are: cancel, drain, join, list, start"),
        (["farm", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["quit"], "no command 'quit'; there are: doctor, trace, "),
    ],
)
def test_an_unknown_command_is_answered_with_those_that_there_are(words, said, capsys):
    """It was "No such command 'stop'." without a next step."""
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"opclock: {said}")


def test_the_time_of_missing_ceilings_is_promised(tmp_path):
    with opclock.open_profile(tmp_path / "board.sqlite") as profile:
        assert ceilings_left_s(profile, 1) == ALL_S
        for name, nbytes in ALL_CEILINGS:
            for _ in range(3):
                profile.add_ceiling(name, nbytes, 1, 1e9)
        assert ceilings_left_s(profile, 1) == 0


def test_a_folder_for_a_report_goes_where_the_command_fails(tmp_path):
    """It stayed behind empty."""
    refused(run("validate", tmp_path / "no.py:make", "--report", tmp_path / "new" / "report"), "no.py")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    refused(run("study", "landscape", "--models", "none", "--report", tmp_path / "mine" / "report"), "none")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("text", ["0", "abc", "-1", "2x"])
def test_a_number_of_threads_that_openmp_refuses_prints_nothing(text):
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from opclock.cli.main import main; main(['trace', 'no.such:thing'])"],
        capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": text},
    )  # fmt: skip
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_doctor_says_what_openmp_refuses(monkeypatch):
    monkeypatch.setattr(system, "_refused", {})
    monkeypatch.setenv("OMP_NUM_THREADS", "abc")
    system.drop_refused()
    assert "OMP_NUM_THREADS" not in os.environ
    check = doctor._openmp("torch", "libgomp: Invalid value for environment variable OMP_NUM_THREADS", 2, 2)
    assert check.status == "warning"
    assert "OMP_NUM_THREADS=abc" in check.finding
    assert check.remedy.startswith("unset OMP_NUM_THREADS")


@pytest.mark.parametrize("text", ["2", " 2 ", "4,2"])
def test_a_number_of_threads_that_openmp_takes_stays(monkeypatch, text):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    system.drop_refused()
    assert os.environ["OMP_NUM_THREADS"] == text


@pytest.mark.parametrize("command", ["trace", "measure", "estimate"])
def test_a_json_file_that_is_no_trace_is_told_what_was_expected(command, tmp_path):
    path = tmp_path / "list.json"
    path.write_text("[1, 2]")
    if command == "estimate":
        with opclock.open_profile(tmp_path / "opclock.sqlite"):
            pass
    refused(run(command, path, cwd=tmp_path), "list.json is ", "expected", "'opclock trace MODEL --json FILE'")
