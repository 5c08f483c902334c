"""Models with a fault: a cut of ``python -m benchmarks.faults``, and each kind of fault that it found."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from helpers import opclock, refused

from benchmarks.faults.__main__ import EARLY, cases
from benchmarks.faults.judging import in_a_process, in_this_process
from benchmarks.faults.kinds import source
from opclock import load_model, reference, trace
from opclock.cli.explaining import explained
from opclock.errors import ModelError, OptionError, TraceError, described, first_line
from opclock.models.process_state import endings_raise

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals")
NAMES = ("ValueError", "SystemExit", "GeneratorExit", "a class of its own", "a message that raises", "a long message",
         "Exit of click", "recursion", "changes the folder", "replaces sys.argv", "ignores Ctrl-C", "sets a timer",
         "float64", "prints much", "closes stdout")  # fmt: skip
SOME = [case for kind in ("raised", "changed") for case in cases(kind) if case.name in NAMES and case.place != "thread"]


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_in_any_place_is_one_line_and_changes_nothing(name):
    for case in SOME:
        if case.name == name and case.place in (*EARLY, "reset", "forward 2"):
            assert in_this_process("trace", case.statement, case.place, case.codes) == [], case


class Raises(torch.nn.Module):
    def __init__(self, at, error):
        super().__init__()
        self.calls, self.at, self.error = [0], at, error

    def forward(self, x):
        self.calls[0] += 1
        if self.calls[0] == self.at:
            raise self.error
        return x + 1


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [ValueError("boom"), Stop("boom"), SystemExit("boom")])
def test_a_model_that_fails_in_a_later_run_is_told(error):
    """Only the warm-up was watched: a later run ended in a traceback, or ended the program."""
    with pytest.raises(ModelError, match="boom"):
        reference(Raises(9, error), (torch.ones(2),), blocks=50, threads=1)


def test_a_reset_that_fails_is_told():
    def reset():
        raise ValueError("no cache")

    with pytest.raises(ModelError, match="the reset of Linear raised ValueError: no cache"):
        trace(torch.nn.Linear(2, 2), (torch.ones(1, 2),), reset=reset)


class Sets(torch.nn.Module):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x):
        self.change()
        return x + 1


def test_settings_of_torch_that_a_forward_changes_are_put_back():
    model = Sets(lambda: (torch.set_default_dtype(torch.float64), torch.use_deterministic_algorithms(True)))
    trace(model, (torch.ones(2),))
    reference(model, (torch.ones(2),), blocks=1, threads=1)
    assert torch.get_default_dtype() == torch.float32
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_forward_that_sets_threads_is_refused():
    """Its kernels were timed with other threads than the profile says."""
    before = torch.get_num_threads()
    with pytest.raises(TraceError, match="sets PyTorch's threads to 3"):
        trace(Sets(lambda: torch.set_num_threads(3)), (torch.ones(2),))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["os._exit with 0", "replaces itself"])
def test_a_model_that_ends_the_process_is_told(name):
    (case,) = (one for one in cases("ended") if (one.name, one.place) == (name, "forward 1"))
    assert in_this_process("trace", case.statement, case.place, case.codes) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_children_of_a_model_end_by_os_exit():
    with endings_raise():
        child = os.fork()
        if child == 0:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


class MuteError(Exception):
    def __str__(self):
        raise ValueError("no text")


def test_messages_of_errors_are_short_and_never_raise():
    assert described(MuteError()) == first_line(MuteError()) == "MuteError"
    assert len(first_line(ValueError("word " * 9999))) < 500


def test_an_error_from_a_models_file_is_no_traceback(tmp_path):
    """Where opclock expects none, such as in a property."""
    (tmp_path / "m.py").write_text(source("raise Stop", "later") + "def fails(): raise Stop('late')\n")
    load_model(f"{tmp_path}/m.py:make")
    with pytest.raises(BaseException, match="late") as caught:
        sys.modules["opclock_file_m"].fails()
    line, code = explained(caught.value)
    assert code == 2
    assert line.startswith("the model raised Stop: late (line ")
    assert explained(ValueError("a bug of opclock"))[0] is None


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("threads=3: too many", "--threads 3: too many"),
        ("input_text='1 x': not a shape", "--input '1 x': not a shape"),
        ("device='cuda:9': no", "--device cuda:9: no"),
        ("path='a': give a path", "path='a': give a path"),
    ],
)
def test_an_argument_in_a_message_is_an_option_on_the_command_line(message, line):
    """From Python, the message said --threads, where the user had written threads=."""
    assert explained(OptionError(message)) == (line, 2)


def test_json_without_a_name_is_refused():
    refused(opclock("trace", "x:y", "--json", ""), "--json '': name a file")


def test_ctrl_c_during_the_first_imports_is_one_line(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run([sys.executable, "-m", "opclock", "--help"], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(tmp_path)})  # fmt: skip
    assert (done.returncode, done.stderr) == (130, "opclock: interrupted; nothing was stored\n")


@pytest.mark.parametrize("name", ["a thread that stays", "hangs and refuses Ctrl-C"])
def test_a_model_does_not_decide_when_the_command_ends(name):
    """Its thread kept the process for ever; a loop that catches everything could not be left."""
    case = next(one for one in cases("ended") if one.name == name and one.place == "factory")
    assert in_a_process("trace", case.statement, case.place, case.codes) == []
