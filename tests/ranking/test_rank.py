"""Many models by their estimated latency."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from helpers import board_profile, linear_trace, opclock, spec

from opclock.cli.rank import _report
from opclock.cli.reporting import Reporter
from opclock.errors import EstimateError, OptionError
from opclock.profiles.profile import Profile
from opclock.ranking import run
from opclock.ranking.candidates import Specification
from opclock.ranking.grid import combinations, name_of
from opclock.ranking.rows import Row, front, kept_rows
from opclock.ranking.worker import Estimator
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import TracedCall

FILE = Path(__file__).with_name("candidates.py")


def linear(width):
    weight = TensorSpec((width, width), (width, 1), "float32", requires_grad=True)
    call = OpCall("aten::linear", "", (spec(1, width), weight))
    return TracedCall(call, (spec(1, width),), (0, 1), (2,), "head", "Linear")


def relu(width):
    return TracedCall(OpCall("aten::relu", "", (spec(1, width),)), (spec(1, width),), (0,), (1,), "act", "ReLU")


SWEPT = [make(width) for make in (linear, relu) for width in range(4, 100, 4)]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A profile with a sweep: the larger, the slower. What is learnt from it is in the file."""
    path = tmp_path_factory.mktemp("board") / "board.sqlite"
    board_profile(path, SWEPT, np.tile(np.linspace(1e-6, 1e-4, len(SWEPT) // 2), 2))
    return path


@pytest.fixture
def folder(tmp_path):
    """Traces of three sizes, and two files that are none."""
    traces = tmp_path / "traces"
    traces.mkdir()
    for width in (6, 50, 90):
        linear_trace(f"model{width}", width).save(traces / f"width{width}.json")
    (traces / "broken.json").write_text("{")
    (traces / "other.json").write_text("{}")
    return traces


def ranked(*arguments, code=0):
    done = opclock("rank", *arguments, "--json", "-")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def test_traces_are_ordered_and_bad_ones_are_named(folder, board):
    answer = ranked(folder, "--profile", board, "--jobs", "1")
    assert [row["candidate"] for row in answer["rows"]] == ["width6", "width50", "width90"]
    assert [row["macs"] for row in answer["rows"]] == [36, 2500, 8100]
    assert all(row["ci_low_s"] < row["total_s"] < row["ci_high_s"] for row in answer["rows"])
    assert {row["candidate"] for row in answer["failed"]} == {"broken", "other"}
    assert all("\n" not in row["error"] for row in answer["failed"])


def test_the_table_has_a_line_for_each(folder, board):
    done = opclock("rank", folder, "--profile", board, "--jobs", "1", "--top", "2")
    lines = done.stdout.splitlines()
    assert lines[0] == "2 threads on cpu in float32"
    assert lines[2].split()[:2] == ["1", "width6"]
    assert "and 1 slower candidate" in done.stdout
    assert any(line.startswith("candidate broken: ") for line in lines)


def test_a_run_goes_on_where_it_stopped(folder, board, tmp_path, monkeypatch):
    keep = tmp_path / "rows.jsonl"
    first = ranked(folder, "--profile", board, "--jobs", "1", "--keep", keep)
    lines = keep.read_text().splitlines()
    keep.write_text("\n".join([lines[0], lines[1][:20]]))  # the second line was cut off
    estimated, row = [], run.Estimator.row
    monkeypatch.setattr(run.Estimator, "row", lambda self, number: estimated.append(number) or row(self, number))
    assert ranked(folder, "--profile", board, "--jobs", "1", "--keep", keep) == first
    assert estimated == [0, 1, 3, 4]  # those that failed are tried again
    assert set(kept_rows(keep)) == {"width6", "width50", "width90"}
    estimated.clear()
    linear_trace("model6", 70).save(folder / "width6.json")  # changed since
    assert [one["candidate"] for one in ranked(folder, "--profile", board, "--keep", keep, "--jobs", "1")["rows"]] == [
        "width50", "width6", "width90"]  # fmt: skip
    assert estimated == [0, 1, 3]


KILLED = """
import os, signal, sys
from pathlib import Path
from opclock.profiles.profile import Profile
from opclock.ranking import run
from opclock.ranking.candidates import Specification

row = run.Estimator.row
run.Estimator.row = lambda self, number: row(self, number) if number < 3 else os.kill(os.getpid(), signal.SIGKILL)
folder, profile, keep = sys.argv[1:]
with Profile.open(Path(profile)) as opened:
    run.rank(Specification(folder), opened, keep=Path(keep))
"""


def test_a_run_goes_on_after_kill_9(folder, board, tmp_path, monkeypatch):
    keep = tmp_path / "rows.jsonl"
    done = subprocess.run([sys.executable, "-c", KILLED, folder, board, keep], check=False)
    assert done.returncode == -signal.SIGKILL
    assert set(kept_rows(keep)) == {"width50"}  # broken and other, which came first, are tried again
    estimated, texts, row = [], [], run.Estimator.row
    monkeypatch.setattr(run.Estimator, "row", lambda self, number: estimated.append(number) or row(self, number))
    with Profile.open(board) as profile:
        rows = run.rank(Specification(str(folder)), profile, keep=keep, progress=lambda *said: texts.append(said))
    assert estimated == [0, 1, 3, 4]
    assert [one.candidate for one in rows if not one.error] == ["width50", "width6", "width90"]
    shares = [share for text, share in texts if text.startswith("ranking")]
    assert shares == [0.2, 0.4, 0.6, 0.8, 1.0]  # what was kept is done already


def test_rows_of_another_profile_do_not_count(folder, board, tmp_path):
    keep, other = tmp_path / "rows.jsonl", tmp_path / "other.sqlite"
    fast = ranked(folder, "--profile", board, "--jobs", "1", "--keep", keep)["rows"][0]["total_s"]
    board_profile(other, SWEPT, np.full(len(SWEPT), 1e-2))
    assert ranked(folder, "--profile", other, "--jobs", "1", "--keep", keep)["rows"][0]["total_s"] > 10 * fast


def test_a_file_that_holds_something_else_is_not_written(folder, board, tmp_path):
    keep = tmp_path / "notes.txt"
    keep.write_text("my notes\nof today\n")
    assert "holds something else" in ranked(folder, "--profile", board, "--jobs", "1", "--keep", keep, code=2)
    assert keep.read_text() == "my notes\nof today\n"


def test_the_front_against_a_column_of_the_user(folder, board, tmp_path):
    known = tmp_path / "known.csv"
    known.write_text("candidate,accuracy,note\nwidth6,0.5,first\nwidth50,0.4,\nwidth90,0.9,\nwidth7,1,\n")
    arguments = (folder, "--profile", board, "--jobs", "1", "--columns", known, "--pareto")
    answer = ranked(*arguments, "accuracy")
    assert {row["candidate"] for row in answer["rows"] if row["on_front"]} == {"width6", "width90"}
    answer = ranked(*arguments, "accuracy:min")
    assert {row["candidate"] for row in answer["rows"] if row["on_front"]} == {"width6", "width50"}
    answer = ranked(*arguments, "macs")  # fewer are better
    assert {row["candidate"] for row in answer["rows"] if row["on_front"]} == {"width6"}
    assert "choose one of macs, parameters, accuracy" in ranked(*arguments, "size", code=2)
    assert answer["without_value"] == []


def test_candidates_without_a_value_left_the_front_silently(folder, board, tmp_path):
    known = tmp_path / "known.csv"
    known.write_text("candidate,accuracy\nwidth6,nan\nwidth50,0.4\nwidth60,0.9\n")
    arguments = (folder, "--profile", board, "--jobs", "1", "--columns", known, "--pareto", "accuracy")
    answer = ranked(*arguments)
    assert answer["without_value"] == ["width6", "width90"]
    assert [row["candidate"] for row in answer["rows"] if row["on_front"]] == ["width50"]
    said = opclock("rank", *arguments).stdout
    assert "without a number in accuracy, so on no front: 2 candidates, first width6" in said
    assert "1 line without a candidate of that name, first width60" in said


def test_a_front_by_hand():
    rows = [Row(name, total_s=seconds) for name, seconds in (("a", 1), ("b", 2), ("c", 3), ("d", 3), ("e", 4))]
    values = {"a": 5.0, "b": 4.0, "c": 6.0, "d": 6.0}
    assert front(rows, values, largest=True) == {"a", "c", "d"}
    assert front(rows, values, largest=False) == {"a", "b"}


def test_modules_from_a_grid_survive_the_worst_candidates(board):
    answer = ranked(f"{FILE}:layer", "--grid", "width=13:16,depth=2", "--profile", board, "--jobs", "1")
    assert [row["candidate"] for row in answer["rows"]] == ["width=16,depth=2"]
    assert [row["parameters"] for row in answer["rows"]] == [544]
    errors = {row["candidate"]: row["error"] for row in answer["failed"]}
    assert errors["width=13,depth=2"] == "the factory raised ValueError: 13 brings bad luck"
    assert "killed by SIGKILL" in errors["width=14,depth=2"]
    assert "not today" in errors["width=15,depth=2"]


def test_what_the_profile_lacks_is_said_once(capsys):
    """The same message stood there once for each candidate of a grid."""
    rows = [Row(name, error=f"p.sqlite has no measurement of {name} with 1 thread") for name in ("w=8", "w=16")]
    with pytest.raises(EstimateError, match="none of 3 candidates"):
        _report([*rows, Row("w=9x", error="the factory raised it")], None, 20, Reporter(), largest=True)
    assert capsys.readouterr().out.splitlines() == [
        "2 candidates, first w=8: p.sqlite has no measurement of this model with 1 thread",
        "candidate w=9x: the factory raised it",
    ]


def test_modules_from_a_generator(board):
    with closing(Estimator(Specification(f"{FILE}:several"), board, 2)) as estimator:
        rows = [estimator.row(number) for number in range(3)]
    assert [row.candidate for row in rows] == ["small", "large", "several[2]"]
    assert [row.parameters for row in rows] == [20, 4160, 272]
    assert not any(row.error for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.py:make",), "there is no"),
        (("nothing",), "name a folder of traces"),
        ((f"{FILE}:twice",), "two candidates 'same'"),
        ((f"{FILE}:wrong",), "yields int as number 0"),
        ((f"{FILE}:empty",), "yields no factory"),
        ((f"{FILE}:layer",), "yields no factory"),
        ((f"{FILE}:layer", "--grid", "width"), "belongs to no argument"),
        ((f"{FILE}:layer", "--grid", "width=9:1"), "no value"),
        ((f"{FILE}:layer", "--grid", "width=1,width=2"), "there twice"),
        ((f"{FILE}:layer", "--grid", "width=1:1000000000"), "values"),
        ((str(FILE.parent),), "holds no trace"),
    ],
)
def test_wrong_candidates_are_one_line(arguments, words, board):
    said = ranked(*arguments, "--profile", board, "--jobs", "1", code=2)
    assert words in said.splitlines()[-1]


def test_a_folder_takes_no_grid(folder, board):
    assert "folder of traces" in ranked(folder, "--grid", "width=1", "--profile", board, code=2)


def test_a_profile_that_knows_nothing_ends_with_2(folder, tmp_path):
    from helpers import BOARD

    Profile.create_or_open(tmp_path / "empty.sqlite", BOARD).close()
    done = opclock("rank", folder, "--profile", tmp_path / "empty.sqlite", "--jobs", "1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("none of 5 candidates could be estimated")


def test_grids():
    assert combinations("a=1:3,b=x,y") == [{"a": a, "b": b} for a in (1, 2, 3) for b in ("x", "y")]
    assert combinations("a=0.5,1,b=3x3") == [{"a": 0.5, "b": (3, 3)}, {"a": 1, "b": (3, 3)}]
    assert name_of({"a": 1, "b": (3, 3), "c": "x"}) == "a=1,b=3x3,c=x"
    with pytest.raises(OptionError, match=r"1\.0e\+16 combinations"):
        combinations(",".join(f"{name}=1:100" for name in "abcdefgh"))
