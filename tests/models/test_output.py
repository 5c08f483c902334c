"""What a model prints, and what it exits with, on the command line."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys

import pytest
from helpers import refused

from opclock.cli.main import main
from opclock.cli.reporting import write
from opclock.errors import OptionError

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("short_sampling")]

LOUD = """
import ctypes, sys
import torch
print("importing")
class Loud(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 8)
    def forward(self, x):
        print("shape", tuple(x.shape))
        print("warned", file=sys.stderr)
        ctypes.CDLL(None).puts(b"from C")
        return self.linear(x)
def make():
    print("building")
    return Loud().eval(), (torch.randn(1, 8),)
"""
EXITS = """
import sys
import torch
class Exits(torch.nn.Module):
    def forward(self, x):
        sys.exit()
def make():
    return Exits(), (torch.randn(1, 8),)
def make_exit():
    exit()
"""
PARSES = """
import argparse
import torch
def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, required=True)
    return parser.parse_args()
{at_import}
def make():
    width = parse().width
    return torch.nn.Linear(width, 8), (torch.randn(1, width),)
"""


@pytest.fixture
def model(tmp_path):
    def written(source, name="make"):
        path = tmp_path / "model_file.py"
        path.write_text(source)
        return f"{path}:{name}"

    return written


@pytest.fixture
def command(capfd):
    """The command line in this process, with all that reaches its descriptors: what compiled code prints, too."""

    def run(*arguments):
        given, code = [str(argument) for argument in arguments], 0
        capfd.readouterr()
        try:
            main(given)
        except SystemExit as end:
            code = end.code
        return subprocess.CompletedProcess(given, code, *capfd.readouterr())

    return run


def test_a_model_that_closes_standard_error_ends_nothing(monkeypatch):
    """The next remark ended the command: "cannot write to standard output"."""

    class Closed(io.StringIO):
        def write(self, _text):
            raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(sys, "stderr", Closed())
    write(sys.stderr, "a remark")
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(OptionError, match="cannot write to standard output: Bad file descriptor"):
        write(sys.stdout, "a result")


@pytest.mark.parametrize("verb", ["trace", "measure", "validate"])
def test_prints_of_a_model_spoil_no_json_and_come_once(verb, model, tmp_path, command):
    profile = [] if verb == "trace" else ["--profile", tmp_path / "p.sqlite"]
    done = command(verb, model(LOUD), *profile, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"].startswith("opclock.")
    for line in ("importing", "building", "shape (1, 8)", "warned"):
        assert done.stderr.splitlines().count(line) == 1
    assert "from C" in done.stderr
    if verb != "trace":
        assert done.stderr.count("the model prints more") == 1
        estimated = command("estimate", model(LOUD), *profile, "--json", "-")
        assert json.loads(estimated.stdout)["schema"].startswith("opclock.estimate/")


def test_a_bench_of_a_loud_model_has_clean_json(model, command):
    done = command("bench", model(LOUD), "--runtime", "eager", "--duration", 0.1, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["schema"].startswith("opclock.bench/")
    assert "shape" not in done.stderr


@pytest.mark.parametrize("verb", ["trace", "measure", "validate", "bench"])
def test_a_forward_that_exits_is_one_line(verb, model, tmp_path, command):
    profile = ["--profile", tmp_path / "p.sqlite"] if verb in ("measure", "validate") else []
    more = ["--runtime", "eager"] if verb == "bench" else []
    refused(command(verb, model(EXITS), *profile, *more), "exited")


def test_a_factory_that_exits_is_one_line(model, command):
    refused(command("trace", model(EXITS, "make_exit")), "the factory", "exited")


def test_an_exit_with_a_message_is_told(model, command):
    refused(command("trace", model("import sys; sys.exit('no licence')")), "exited (no licence)", "__main__")


@pytest.mark.parametrize("at_import", ["", "parse()"])
def test_a_file_that_reads_the_command_line_is_one_line(at_import, model, command):
    done = command("trace", model(PARSES.format(at_import=at_import)))
    refused(done, "exited", "read the command line", "--width")
    assert len(done.stderr.splitlines()) == 1
