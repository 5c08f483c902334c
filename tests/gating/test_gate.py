"""The gate with stand-ins for interpreters, which answer at once, and once with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import opclock, refused

from opclock.gating import sampling
from opclock.gating.process import GateProcess
from opclock.gating.result import GateRow
from opclock.gating.verdicts import Difference, Verdict
from opclock.report.gate_table import table

# An interpreter whose processes answer without torch: every run took {seconds}, some of them longer.
STANDIN = """#!{python} -S
import json, random, sys
if "-c" in sys.argv:
    print("[[3, 11, 0], []]")  # its version, and what it lacks
    sys.exit()
draw = random.Random()
seconds = [{seconds} * (1 + abs(draw.gauss(0, 0.002))) for _ in range(80)]
answers = {{
    "load": {{"torch": "2.0", "python": "3.11"}}, "run": {{"runs": 2, "bytes": 1000}},
    "block": {{"seconds": 1.0, "contended": {contended}}},
    "samples": {{"seconds": seconds, "disturbed": 3}},
}}
for line in sys.stdin:
    {before}
    print(json.dumps(answers[json.loads(line)["do"]]), flush=True)
"""
MODEL = """
import torch
def small():
    return torch.nn.Sequential(*[torch.nn.Linear(64, 64) for _ in range({layers})]), torch.randn(16, 64)
"""


@pytest.fixture
def standin(tmp_path):
    def make(name, seconds=1e-3, contended=False, before="pass"):
        path = tmp_path / name
        path.write_text(STANDIN.format(python=sys.executable, seconds=seconds, contended=contended, before=before))
        path.chmod(0o755)
        return path

    return make


def gate(base, head, *arguments, **options):
    return opclock("gate", "m.py:small", "--base", base, "--head", head, "--threads", "1", *arguments, **options)


def test_a_slower_head_closes_the_gate(standin, tmp_path):
    done = gate(standin("base"), standin("head", 1.2e-3), "--json", tmp_path / "out.json", "--markdown",
                tmp_path / "out.md")  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "1 model: 1 slower. Equal processes differ by" in done.stdout
    assert "The gate is closed." in done.stdout
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["schema"] == "opclock.gate/1"
    assert data["slower"] == ["m.py:small"]
    (row,) = data["rows"]
    assert row["ratio"] == pytest.approx(1.2, rel=0.01)
    assert row["low"] < row["ratio"] < row["high"]
    assert len(row["processes"]["base_s"]) == len(row["processes"]["head_s"]) == 5
    assert row["disturbed"] == 10 * 3
    assert data["head"]["interpreter"] == str(tmp_path / "head")
    markdown = (tmp_path / "out.md").read_text()
    assert "slower" in markdown
    assert "| m.py:small |" in " ".join(markdown.split())


@pytest.mark.parametrize(("seconds", "verdict"), [(1e-3, "same"), (0.8e-3, "faster")])
def test_another_head_leaves_it_open(standin, seconds, verdict):
    done = gate(standin("base"), standin("head", seconds))
    assert done.returncode == 0, done.stderr
    assert f"1 {verdict}" in done.stdout
    assert "The gate is open." in done.stdout


def test_it_fits_a_terminal_of_80_columns(standin, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = gate(standin("base"), standin("head"))
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and "/" not in line] == []  # paths stay whole


def test_disturbed_runs_are_flagged(standin):
    done = gate(standin("base"), standin("head", contended=True))
    assert "contended: " in done.stdout


def test_the_same_twice_is_noted(standin):
    done = gate(standin("base"), standin("base"))
    assert "nothing but chance differs" in done.stdout


@pytest.mark.parametrize(("before", "words"), [
    ('sys.exit("no answer")', ("loading the model", "no answer")),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", ("killed by SIGSEGV",)),
    ('print("junk")', ("answered with something else",)),
    ('print(json.dumps({"error": "ValueError: not today"}), flush=True); continue', ("ValueError: not today",)),
    ('print(json.dumps({"error": "no m.py", "refusal": "ModelError"}), flush=True); continue', ("no m.py",)),
])  # fmt: skip
def test_a_side_that_fails_is_named_in_one_line(standin, before, words):
    head = standin("head", before=before)
    refused(gate(standin("base"), head), f"--head {head}", *words)


def test_a_side_that_hangs_is_named(standin, monkeypatch):
    monkeypatch.setattr(GateProcess, "answer_s", 0.5)
    head = standin("head", before="import time; time.sleep(60)")
    refused(gate(standin("base"), head), f"--head {head}", "loading the model: no answer within")


def test_where_memory_is_small_the_processes_run_in_waves(standin, monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "_fits", lambda _processes: False)
    done = gate(standin("base"), standin("head", 1.2e-3), "--json", tmp_path / "out.json")
    assert done.returncode == 1, done.stderr
    assert len(json.loads((tmp_path / "out.json").read_text())["rows"][0]["processes"]["base_s"]) == 6


@pytest.mark.parametrize("text", ["nowhere", "./nowhere", "", "-x"])
def test_what_is_no_side_is_told(standin, tmp_path, text):
    done = opclock("gate", "m.py:small", f"--base={text}", "--head", standin("head"), cwd=tmp_path)
    refused(done, f"--base {text!r} is neither", "virtual environment")


@pytest.mark.parametrize(("content", "words"), [
    ("#!/bin/sh\necho Hello", ("it is no Python interpreter",)),
    ("#!/bin/sh\nexit 3", ("it is no Python interpreter",)),
    ("#!/bin/sh\necho '[[3, 9, 2], []]'", ("it is Python 3.9.2, and opclock needs 3.11 or later",)),
    (f'#!/bin/sh\nexec {sys.executable} -I -S "$@"', ("it lacks torch, numpy, scipy, psutil: ", "pip install torch")),
    ("no program", ("it cannot be started", "name a Python interpreter")),
])  # fmt: skip
def test_an_interpreter_that_cannot_serve_is_told_before_anything_runs(standin, tmp_path, content, words):
    """What it printed was told, or how it ended."""
    path = tmp_path / "python"
    path.write_text(content)
    path.chmod(0o755)
    refused(gate(path, standin("head")), f"--base {path}: {words[0]}", *words[1:])


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf"])
def test_a_slowdown_that_is_no_fraction(standin, value):
    refused(gate(standin("base"), standin("head"), "--max-slowdown", value), f"--max-slowdown {value}", "0.05")


def git(folder, *words):
    subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@e", *words], cwd=folder, check=True,
                   capture_output=True)  # fmt: skip


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two revisions: the second has more layers. The working tree has changes that are not committed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "repository"
    (folder / "inner").mkdir(parents=True)
    git(folder, "init", "--initial-branch", "main")
    for layers in (2, 20):
        (folder / "inner" / "m.py").write_text(MODEL.format(layers=layers))
        git(folder, "add", ".")
        git(folder, "commit", "--message", f"{layers} layers")
    (folder / "inner" / "m.py").write_text(MODEL.format(layers=3))
    return folder


def test_two_revisions_with_real_processes(repository, monkeypatch, tmp_path):
    monkeypatch.setattr(sampling, "PROCESSES", 2)
    monkeypatch.setattr(sampling, "MIN_PASSES", 2)
    monkeypatch.setattr(sampling, "MAX_S", 0.1)
    out = tmp_path / "out.json"
    done = opclock("gate", "m.py:small", "--base", "main~1", "--head", "main", "--threads", "1", "--json", out,
                   cwd=repository / "inner")  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    data = json.loads(out.read_text())
    assert data["rows"][0]["ratio"] > 2  # ten times as many layers
    assert data["base"]["commit"] != data["head"]["commit"]
    assert "--head . takes the working tree as it is" in " ".join(done.stdout.split())
    assert (repository / "inner" / "m.py").read_text() == MODEL.format(layers=3)


def test_a_narrow_terminal_keeps_the_interval():
    """At 80 columns the 95 % interval, which is the evidence, was left out for the times."""
    verdict = Verdict("undecided", "the interval reaches beyond what is allowed, on both of its sides")
    processes = ((1.234e-3,) * 5, (1.345e-3,) * 5)
    row = GateRow("package/models.py:make_small", processes, Difference(0.1, 0.02, 8, 0.03), verdict, (), 100, 0)
    gate = SimpleNamespace(rows=[row], sides=("a", "b"), versions=[{"torch": "2"}] * 2, threads=1,
                           board={"identity": "board"})  # fmt: skip
    for width in (70, 80):
        heading = table(gate).lines(width)[0]
        assert "95 % interval" in heading
        assert "verdict" in heading
