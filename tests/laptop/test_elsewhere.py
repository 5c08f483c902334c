"""What a laptop does: no Linux, no compiled part, for most verbs no torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import chain, filled

from opclock.profiles.profile import Profile

ROOT = Path(__file__).parents[2]
STORED = [ROOT / "docs/landscape/one-thread.json", ROOT / "docs/landscape/two-threads.json"]
SECONDS = {"conv2d": 2e-4, "relu": 3e-5, "linear": 1e-4}
SYSTEMS = ("darwin", "win32")


@dataclass
class Done:
    code: int
    out: str
    errors: str


class Laptop:
    """Commands in one process on the other system."""

    def __init__(self, system, folder, *, torch=False):
        environment = {**os.environ, "PYTHONWARNDEFAULTENCODING": "1", "MPLCONFIGDIR": str(folder),
                       "PYTHONWARNINGS": "ignore::EncodingWarning"}  # fmt: skip
        words = [sys.executable, str(Path(__file__).with_name("elsewhere.py")), system, *(["torch"] if torch else [])]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder,
                                       encoding="utf-8", env=environment)  # fmt: skip

    def __call__(self, *arguments):
        self._child.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        self._child.stdin.flush()
        return Done(**json.loads(self._child.stdout.readline()))

    def close(self):
        self._child.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What was copied: two profiles and a trace."""
    folder = tmp_path_factory.mktemp("laptop")
    trace = chain("conv2d", "relu", "linear")
    (folder / "model.json").write_text(json.dumps(trace.to_json()), encoding="utf-8")
    for name, factor in (("board.sqlite", 1), ("other.sqlite", 2)):
        filled(folder / name, trace, {key: factor * value for key, value in SECONDS.items()})
    return folder


@pytest.fixture(scope="module", params=SYSTEMS)
def laptop(request, folder):
    laptop = Laptop(request.param, folder)
    yield laptop
    laptop.close()


def test_help_and_version(laptop):
    assert "estimate" in laptop("--help").out
    assert laptop("--version").code == 0


def test_estimate_from_a_copied_profile(laptop, folder):
    done = laptop("estimate", "model.json", "--profile", "board.sqlite", "--threads", 2, "--json", "estimate.json")
    assert done.code == 0, done.errors
    estimate = json.loads((folder / "estimate.json").read_text(encoding="utf-8"))
    assert estimate["total_s"] == pytest.approx(sum(SECONDS.values()) + 4e-6)
    assert "conv" in done.out


def test_reading_leaves_the_folder_as_it_was(laptop, folder):
    before = sorted(path.name for path in folder.glob("*.sqlite*"))
    assert laptop("profile", "info", "board.sqlite").code == 0
    assert sorted(path.name for path in folder.glob("*.sqlite*")) == before == ["board.sqlite", "other.sqlite"]


def test_rank_traces(laptop, folder):
    (folder / "traces").mkdir(exist_ok=True)
    (folder / "traces" / "one.json").write_bytes((folder / "model.json").read_bytes())
    done = laptop("rank", "traces", "--profile", "board.sqlite", "--threads", 2, "--jobs", 1, "--json", "rank.json")
    assert done.code == 0, done.errors
    (row,) = json.loads((folder / "rank.json").read_text(encoding="utf-8"))["rows"]
    assert row["total_s"] == pytest.approx(sum(SECONDS.values()) + 4e-6)


def test_compare(laptop):
    done = laptop("compare", "board.sqlite", "other.sqlite")
    assert done.code == 0, done.errors
    assert done.out


def test_profiles_are_looked_after(laptop, folder):
    shutil.copy(folder / "board.sqlite", folder / "copy.sqlite")
    try:
        assert laptop("profile", "merge", "copy.sqlite", "other.sqlite").code == 0
        assert laptop("profile", "prune", "copy.sqlite").code == 0
        assert not list(folder.glob("*-wal")) + list(folder.glob("*-shm"))
        with Profile.open(folder / "copy.sqlite") as profile:
            assert profile.board()["model"] == "test board"
    finally:
        (folder / "copy.sqlite").unlink()


def test_boards_side_by_side_with_their_pictures(laptop, folder):
    done = laptop("study", "landscape", "--combine", *STORED, "--report", "boards")
    assert done.code == 0, done.errors
    assert "<img" in (folder / "boards/index.html").read_text(encoding="utf-8")


def test_doctor_says_in_one_line_what_is_missing(laptop):
    done = laptop("doctor")
    assert done.code == 1, done.errors
    assert done.errors == ""
    assert "times nothing" in " ".join(done.out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("measure", "model.json", "--profile", "new.sqlite"),
        ("sweep", "--preset", "board", "--profile", "new.sqlite"),
        ("validate", "zoo:mobilenet"),
        ("ceilings", "--profile", "new.sqlite"),
        ("bench", "zoo:mobilenet"),
        ("batch", "zoo:mobilenet"),
        ("study", "landscape", "--report", "new"),
        ("study", "hidden-costs", "--report", "new"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_what_times_ends_in_one_line_that_says_why(laptop, folder, arguments):
    done = laptop(*arguments)
    assert done.code == 2, (done.out, done.errors)
    assert done.errors.startswith("opclock: ")
    assert len(done.errors.splitlines()) == 1, done.errors
    assert "times nothing" in done.errors
    assert "compiler" in done.errors
    assert not (folder / "new.sqlite").exists()


def test_tracing_names_what_it_needs(laptop):
    done = laptop("trace", "zoo:mobilenet")
    assert (done.code, done.errors) == (2, "opclock: this needs torch, which is not installed: pip install torch\n")


def test_cores_are_no_choice_there(laptop):
    done = laptop("measure", "model.json", "--profile", "new.sqlite", "--cpus", "0")
    assert done.code == 2
    assert "Linux" in done.errors


@pytest.fixture(scope="module", params=SYSTEMS[1:])
def tracing(request, tmp_path_factory):
    """With torch; and the folder that it works in."""
    folder = tmp_path_factory.mktemp("tracing")
    laptop = Laptop(request.param, folder, torch=True)
    yield laptop, folder
    laptop.close()


def test_trace_and_estimate_with_torch(tracing):
    laptop, folder = tracing
    done = laptop("trace", "zoo:mobilenet", "--json", "mobilenet.json")
    assert done.code == 0, done.errors
    assert json.loads((folder / "mobilenet.json").read_text(encoding="utf-8"))["model"] == "mobilenet"
    done = laptop("measure", "zoo:mobilenet", "--profile", "new.sqlite")
    assert (done.code, len(done.errors.splitlines())) == (2, 1), done.errors


def test_a_path_with_a_drive_names_a_model(tracing):
    laptop, folder = tracing
    path = folder / ("models.py" if os.name == "nt" else "C:models.py")
    path.write_text("import torch\ndef relu():\n    return torch.nn.ReLU(), (torch.ones(2),)\n", encoding="utf-8")
    done = laptop("trace", f"{path}:relu", "--json", "relu.json")
    assert done.code == 0, done.errors
    assert json.loads((folder / "relu.json").read_text(encoding="utf-8"))["model"] == "relu"
