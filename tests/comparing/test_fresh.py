"""Both sides of a comparison are measured again in turn, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from itertools import chain

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from helpers import INTERRUPTIBLE, opclock, refused

from opclock.board.identity import read_board
from opclock.cli.main import commands
from opclock.comparing import fresh
from opclock.comparing.fresh import remeasured
from opclock.errors import ComparisonError
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.sweeps.binding import plan_all
from opclock.sweeps.configuration import grid

PYTHONS = (sys.executable, sys.executable)
UNKNOWN = json.dumps({"operator": "aten::no_such_operator", "overload": "", "args": [], "kwargs": {}})
# An interpreter whose opclock is replaced by a few lines.
STANDIN = """#!/bin/sh
[ "$1" = -c ] && exec echo "[[3, 11, 0], []]"
exec {python} -c '
import json, sys
for line in sys.stdin:
    print(json.dumps({answer}), flush=True)
'
"""


def older(path, *, board=None, more=(), sizes=(7, 9)):
    """A profile of a sweep that nobody ran: all kernels took a second."""
    planned, _ = plan_all(grid("elementwise", {"channels": [16], "size": list(sizes), "operator": ["relu"]})[0])
    keys = [one.call.key for one in planned] + list(more)
    with Profile.create_or_open(path, board or read_board()) as profile:
        pool = profile.start_pool(Condition("interleaved", "cpu", 1, 20), keys, [1] * len(keys), signature="s")
        profile.add_rounds(pool, np.ones((8, len(keys))), np.ones(8), None)
        profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})
        profile.name_configurations([(one.configuration.family, one.configuration.parameters_text, one.call.key)
                                     for one in planned])  # fmt: skip
    return path


@pytest.fixture
def pair(tmp_path):
    return [older(tmp_path / name) for name in ("a.sqlite", "b.sqlite")]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def standin(path, answer):
    path.write_text(STANDIN.format(python=sys.executable, answer=answer))
    path.chmod(0o755)
    return path


@pytest.fixture
def one_process(monkeypatch):
    """One process a side instead of five."""
    monkeypatch.setattr(fresh, "PROCESSES", 1)


def test_new_measurements_are_compared_and_the_old_ones_stay(pair, tmp_path, temporary, one_process):
    before = [path.read_bytes() for path in pair]
    done = CliRunner().invoke(commands, ["compare", *map(str, pair), "--fresh", "--json", str(tmp_path / "out.json")])
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "out.json").read_text())
    assert [side["python"] for side in result["sides"]] == list(PYTHONS)
    assert len(result["rows"]) == 2
    for row in result["rows"]:
        assert (row["family"], row["timing"], row["threads"]) == ("elementwise", "interleaved", 1)
        assert 0 < row["first_s"] < 0.1  # not the second of the old profiles
        assert row["ratio"] > 0
    assert "2 op calls" in done.output
    assert [path.read_bytes() for path in pair] == before
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What both sides measured of two op calls, and of one that no torch has."""
    paths = [older(tmp_path_factory.mktemp("pair") / name, more=[UNKNOWN]) for name in "ab"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fresh, "PROCESSES", 2)
        with remeasured(*paths, PYTHONS) as measured:
            yield measured


def test_each_block_has_its_neighbour_on_the_other_side(measured):
    assert len(measured.profiles) == 2
    for pair in measured.profiles:
        with Profile.open(pair[0]) as first, Profile.open(pair[1]) as second:
            one, other = (profile.pool(1, all_rounds=True) for profile in (first, second))
        assert set(one.blocks) == set(other.blocks)
        assert one.keys == other.keys


def test_each_process_leaves_one_file(measured):
    for path in chain.from_iterable(measured.profiles):
        assert [other.name for other in path.parent.glob(f"{path.name}*")] == [path.name]


def test_an_op_call_that_this_torch_lacks_is_a_row_with_the_reason(measured):
    table = measured.table().set_index("op_call")
    assert len(table) == 3
    assert table.loc[UNKNOWN, "verdict"] == "undecided"
    assert "cannot run on the first side: no_such_operator" in table.loc[UNKNOWN, "reason"]


def test_more_threads_than_cores_are_rows_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    paths = []
    for name in "ab":
        path = tmp_path / name
        with Profile.create_or_open(path, read_board()) as profile:
            pool = profile.start_pool(Condition("interleaved", "cpu", 999, 20), [UNKNOWN], [1], signature="s")
            profile.add_rounds(pool, np.ones((8, 1)), np.ones(8), None)
            profile.end_pool(pool, "settled", ["narrow"], {})
        paths.append(path)
    done = opclock("compare", *paths, "--fresh")
    assert done.returncode == 0, done.stderr
    assert "1 undecided" in done.stdout
    assert "999" in done.stdout


@pytest.mark.parametrize(("facts", "words"), [
    ({"model": "another board"}, ("another machine", "another board", "without --fresh")),
    ({"torch": "1.0"}, ("torch 1.0", "--first-python")),
])  # fmt: skip
def test_another_environment_is_told_before_measuring(tmp_path, facts, words):
    paths = [older(tmp_path / name, board=replace(read_board(), **facts)) for name in "ab"]
    refused(opclock("compare", *paths, "--fresh"), *words)


def test_an_interpreter_without_opclock_is_told(pair, tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    refused(
        opclock("compare", *pair, "--fresh", "--second-python", bare),
        f"--second-python {bare}: it lacks opclock, torch",
    )


@pytest.mark.parametrize(("answer", "words"), [
    ('{"protocol": 0, "schema": 3, "opclock": "0.0.1"}', ("0.0.1", "upgrade")),
    ('{"protocol": 1, "schema": 99, "opclock": "9.0"}', ("9.0", "upgrade")),
])  # fmt: skip
def test_an_opclock_of_another_version_is_told(pair, tmp_path, answer, words):
    python = standin(tmp_path / "python", answer)
    refused(opclock("compare", *pair, "--fresh", "--second-python", python), str(python), *words)


@pytest.mark.parametrize("python", ["nowhere/python", "/bin/true", "/bin/echo"])
def test_what_is_no_python_is_told(pair, python):
    refused(opclock("compare", *pair, "--fresh", "--first-python", python), f"--first-python {python}")


def test_nothing_in_common(tmp_path):
    paths = [older(tmp_path / "a", sizes=[7]), older(tmp_path / "b", sizes=[9])]
    refused(opclock("compare", *paths, "--fresh"), "no op call in common")


def test_an_interpreter_needs_fresh(pair):
    refused(opclock("compare", *pair, "--second-python", "python3"), "--second-python", "--fresh")


def children(pid):
    return psutil.Process(pid).children(recursive=True)


def test_a_killed_child_is_one_line(pair, temporary):
    killed = []

    def kill(text, _fraction):
        if "op calls" in text and not killed:
            killed.append(children(os.getpid())[-1])
            killed[0].kill()

    with pytest.raises(ComparisonError, match=r"side .*killed by SIGKILL"), remeasured(*pair, PYTHONS, kill):
        raise AssertionError
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ending_it_ends_both_children_and_leaves_nothing(pair, temporary, ending, code):
    command = [*INTERRUPTIBLE, "compare", *map(str, pair), "--fresh"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        started = []
        for _ in range(1200):
            if len(started := children(parent.pid)) == 2:
                break
            time.sleep(0.05)
        assert len(started) == 2
        threading.Event().wait(0.5)
        parent.send_signal(ending)
        assert parent.wait(60) == code
        assert "Traceback" not in parent.stderr.read()
    assert psutil.wait_procs(started, timeout=30)[1] == []
    assert list(temporary.iterdir()) == []
