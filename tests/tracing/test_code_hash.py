"""The hash of a model's code changes with the code that runs between op calls, and with nothing else."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import fx, nn

from opclock.models.loading import load_model
from opclock.tracing.code_hash import code_hash
from opclock.tracing.recorder import trace

HELPERS = "def scale(x):\n    return [number for number in range(3)] and x\n"
MODEL = """
import functools
import torch
from torch import nn
import helpers_of_hash
from helpers_of_hash import scale

LOOPS = 5
SEEN = 0

def busy(count=2):
    return sum(range(count))

def waits(count):
    def decorator(method):
        @functools.wraps(method)
        def inner(*arguments):
            busy(count)
            return method(*arguments)
        return inner
    return decorator

class Table:
    def look_up(self, word):
        return {"a": 1, "b": 2}.get(word)

class Base(nn.Module):
    def prepared(self, x):
        return x

class Net(Base):
    STEPS = 7

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.table = Table()
        self.act = functools.partial(lambda x, times: x, times=1)
        self.actions = {"first": lambda x: x}
        self.inner.register_forward_hook(lambda module, inputs, output: None)

    def unused(self):
        return 1

    @property
    def many(self):
        return 10

    @torch.no_grad()
    @waits(3)
    def forward(self, x):
        global SEEN
        SEEN += 1
        for _ in range(LOOPS + self.STEPS + self.many):
            self.table.look_up("a" if "x" in {"x", "y", "z"} else "b")
        x = self.actions["first"](self.act(self.prepared(x)))
        return helpers_of_hash.scale(scale(self.inner(x)))

def net():
    return Net(), torch.randn(1, 4)
"""


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """The hash of the model, with one text of its files replaced by another."""
    monkeypatch.syspath_prepend(tmp_path)

    def of(old="", new="", name="net"):
        for module in ("helpers_of_hash", f"opclock_file_{name}"):
            sys.modules.pop(module, None)
        assert old in MODEL + HELPERS
        (tmp_path / "helpers_of_hash.py").write_text(HELPERS.replace(old, new) if old else HELPERS)
        path = tmp_path / f"{name}.py"
        path.write_text(MODEL.replace(old, new) if old else MODEL)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return code_hash(load_model(f"{path}:net").module)

    return of


@pytest.mark.parametrize(("old", "new"), [
    ("        SEEN += 1\n", "        SEEN += 1\n        busy(4)\n"),  # the forward
    ("sum(range(count))", "sum(range(2 * count))"),  # a function that it calls
    ("def busy(count=2)", "def busy(count=4)"),  # a default
    ("LOOPS = 5", "LOOPS = 50"),  # a number with a name, of the file
    ("STEPS = 7", "STEPS = 70"),  # and of the class
    ("return 10", "return 100"),  # a property
    ("        return x\n\nclass Net", "        return x.view_as(x)\n\nclass Net"),  # a method of a base class
    ('"b": 2', '"b": 2, "c": 3'),  # a method of a helper's class
    ("lambda x, times: x", "lambda x, times: [x, x][0]"),  # a lambda in an attribute
    ("times=1", "times=2"),  # what a partial holds
    ('"first": lambda x: x', '"first": lambda x: [x][0]'),  # a lambda in a container
    ("output: None", "output: [None][0]"),  # a hook
    ("@waits(3)", "@waits(30)"),  # the closure of a decorator
    ("busy(count)\n", "busy(2 * count)\n"),  # a decorator
    ("range(3)", "range(30)"),  # a function of another file
])  # fmt: skip
def test_an_edit_changes_the_hash(hashed, old, new):
    assert hashed(old, new) != hashed()


@pytest.mark.parametrize(("old", "new"), [
    ("LOOPS = 5\n", "# a comment moves every line\nLOOPS = 5\n"),
    ("SEEN = 0", "SEEN = 9"),  # what the code itself counts
    ("nn.Linear(4, 4)", "nn.Linear(4, 4, bias=True)"),  # it does not run between op calls
    ("    def unused(self):\n        return 1\n", ""),
])  # fmt: skip
def test_other_edits_do_not(hashed, old, new):
    assert hashed(old, new) == hashed()


def test_a_copied_file_has_the_same_code(hashed):
    assert hashed(name="copy") == hashed() == hashed()


def test_a_run_changes_no_hash(hashed, tmp_path):
    hashed()
    model = load_model(f"{tmp_path / 'net.py'}:net")
    before = trace(model.module, model.inputs).code
    model.module(*model.inputs)
    assert trace(model.module, model.inputs).code == before == code_hash(model.module)


def test_another_process_finds_the_same_hash(hashed, tmp_path):
    here = hashed()
    code = (
        "from opclock.models.loading import load_model; from opclock.tracing.code_hash import code_hash; "
        f"print(code_hash(load_model({str(tmp_path / 'net.py')!r} + ':net').module))"
    )
    there = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(tmp_path)},
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert there.stdout.strip() == here
    assert here.startswith(f"{sys.implementation.cache_tag}:")


def test_pytorchs_own_modules_and_opclocks_have_no_code_of_the_users():
    assert code_hash(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.LSTM(4, 4))) == ""
    assert code_hash(load_model("zoo:mobilenet").module) == ""


def test_an_installed_package_counts_by_its_version(tmp_path, monkeypatch):
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "library_of_hash.py").write_text(
        "from torch import nn\n__version__ = '1.0'\nclass Net(nn.Module):\n    def forward(self, x): return x\n"
    )
    monkeypatch.syspath_prepend(folder)
    library = importlib.import_module("library_of_hash")
    before = code_hash(library.Net())
    assert before.startswith("any:")  # equal with each Python
    monkeypatch.setattr(library.Net, "forward", Doubles.forward)
    assert code_hash(library.Net()) != before
    monkeypatch.undo()
    monkeypatch.setattr(library, "__version__", "1.1")
    assert code_hash(library.Net()) != before


class Doubles(nn.Module):
    def __init__(self, times=2):
        super().__init__()
        self.times = times

    def forward(self, x):
        for _ in range(self.times):
            x = x + x
        return x


def test_the_forward_of_an_instance_counts():
    model = Doubles()
    before = code_hash(model)
    model.forward = lambda x: x + x + x + x
    changed = code_hash(model)
    model.forward = partial(Doubles.forward, model)
    assert len({before, changed, code_hash(model)}) == 3


def test_a_counter_in_a_closure_is_a_state():
    count, step = 0, 2

    def forward(x):
        nonlocal count
        count += step
        return x

    model = Doubles()
    model.forward = forward
    before = code_hash(model)
    model(torch.ones(2))
    assert count == 2
    assert code_hash(model) == before


def test_generated_code_counts():
    """A GraphModule's forward is in no file, and its name holds a number of the process."""
    graphs = [fx.symbolic_trace(Doubles(times)) for times in (2, 2, 3)]
    first, again, other = map(code_hash, graphs)
    assert first == again != other


@pytest.mark.parametrize("script", [torch.jit.script, partial(torch.jit.trace, example_inputs=torch.ones(2))])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_counts(script, tmp_path):
    path = tmp_path / "doubles.pt"
    script(nn.Sequential(Doubles(2))).save(path)
    first, again = (code_hash(load_model(str(path), input_text="2").module) for _ in range(2))
    assert first == again
    assert first.startswith("any:")
    assert code_hash(script(nn.Sequential(Doubles(3)))) != first


def test_an_exported_file_counts(tmp_path):
    path = tmp_path / "doubles.pt2"
    hashes = []
    for times in (2, 3):
        torch.export.save(torch.export.export(Doubles(times), (torch.ones(2),)), path)
        hashes += [code_hash(load_model(str(path)).module) for _ in range(2)]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]
