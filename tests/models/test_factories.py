"""What a factory may return, and what the file around it may do."""

from __future__ import annotations

import os
import sys
from collections import UserDict

import pytest
import torch
from torch import nn

from opclock import trace
from opclock.errors import ModelError
from opclock.models.factories import checked_result
from opclock.models.loading import load_model
from opclock.runtimes.nesting import flattened, tensors_in
from opclock.timing.reference import forward_of
from opclock.tracing.model_inputs import CallInputs


class Text(nn.Module):
    def forward(self, ids, mask=None, scale=1.0):
        ids = ids * scale
        return ids if mask is None else ids * mask


class OneMapping(nn.Module):
    def forward(self, batch):
        return batch["ids"] * batch["mask"]


class OneAttribute(nn.Module):
    def forward(self, batch):
        return batch.data["ids"] + 1


IDS, MASK = torch.ones(2, 3), torch.full((2, 3), 2.0)
RESULTS = {
    "a tensor": ((Text(), IDS), 1.0, 1),
    "a list": ((Text(), [IDS, MASK]), 2.0, 1),
    "keywords": ((Text(), {"ids": IDS, "mask": MASK, "scale": 2.0}), 4.0, 2),
    "a mapping": ((Text(), UserDict(ids=IDS, mask=MASK)), 2.0, 1),
    "both": ((Text(), (IDS,), {"mask": MASK, "scale": 3.0}), 6.0, 2),
    "one dict": ((OneMapping(), {"ids": IDS, "mask": MASK}), 2.0, 1),
    "one dict in a tuple": ((OneMapping(), ({"ids": IDS, "mask": MASK},)), 2.0, 1),
    "one mapping": ((OneAttribute(), UserDict(other=IDS, ids=IDS)), 2.0, 1),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_inputs_of_every_kind_reach_the_model(kind):
    """A mapping that is no dict, and arguments with keywords, were refused; a dict as the argument was unpacked."""
    result, value, _ = RESULTS[kind]
    module, inputs = checked_result("it", result)
    assert torch.equal(forward_of(module, inputs)(), torch.full((2, 3), value))
    assert trace(module, inputs).inputs[0].shape == (2, 3)
    tensors = tensors_in(inputs)
    assert torch.equal(flattened(module, inputs)(*tensors)[0], torch.full((2, 3), value))


def test_a_trace_takes_what_a_factory_may_return():
    assert len(trace(Text(), CallInputs((IDS,), {"mask": MASK})).inputs) == 2
    assert len(trace(Text(), UserDict(ids=IDS, mask=MASK)).inputs) == 2


@pytest.mark.parametrize("result", [3, (Text(),), (Text(), 3), (Text(), IDS, IDS), (IDS, Text())])
def test_other_results_are_refused(result):
    with pytest.raises(ModelError, match=r"returned \w+.*must return a torch.nn.Module"):
        checked_result("it", result)


class Alone(nn.Module):
    def forward(self):
        return torch.ones(2)


def test_inputs_without_a_tensor_are_refused_where_the_forward_takes_one():
    """The complaint said that a module and its inputs were needed, which is what was returned."""
    said = r"without a tensor, but the forward of Text takes ids, mask \(optional\), scale \(optional\) \(missing"
    with pytest.raises(ModelError, match=said):
        checked_result("it", (Text(), ()))
    module, inputs = checked_result("it", (Alone(), ()))  # it was told to give input_text=SHAPE
    assert len(trace(module, inputs).calls) == 1


@pytest.mark.parametrize(("name", "kind"), [("three", "int"), ("nothing", "NoneType"), ("net", "Linear")])
def test_what_is_no_function_is_told(tmp_path, name, kind):
    """It was said not to exist; and a module was called as if it were a factory."""
    written(tmp_path, file="three, nothing, net = 3, None, torch.nn.Linear(2, 2)\n")
    with pytest.raises(ModelError, match=f"'{name}' in .*file.py is an object of type {kind}: name a function"):
        load_model(f"{tmp_path / 'file.py'}:{name}")


@pytest.mark.skipif(os.name != "posix", reason="needs links")
@pytest.mark.parametrize("name", ["circle.py:make", "circle.pt2", "circle.pt"])
def test_a_link_to_itself_is_no_traceback(tmp_path, name):
    path = tmp_path / name.partition(":")[0]
    path.symlink_to(path)
    with pytest.raises(ModelError, match=r"there is no file .*circle.*, only a link that leads to none"):
        load_model(str(tmp_path / name))


def written(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("import os, sys, torch\n" + text)


NET = "def build():\n    return torch.nn.Linear(2, 2), torch.randn(1, 2)\n"
LIB = "sys.path.insert(0, os.path.join(os.path.dirname(__file__), 'lib'))\n"


@pytest.fixture
def path_as_before(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("path_as_before")
def test_a_factory_may_import_when_it_runs(tmp_path):
    """The file's folder was taken from the path before the factory ran: its neighbours were not found."""
    written(tmp_path, sibling_net=NET, file="def make():\n    from sibling_net import build\n    return build()\n")
    assert load_model(f"{tmp_path / 'file.py'}:make").inputs[0].shape == (1, 2)


@pytest.mark.usefixtures("path_as_before")
def test_a_file_may_change_the_path(tmp_path):
    """What the file put first on the path was removed in place of its own folder."""
    written(tmp_path, lib__far_net=NET, file=LIB + "def make():\n    from far_net import build\n    return build()\n")
    assert load_model(f"{tmp_path / 'file.py'}:make").inputs[0].shape == (1, 2)


@pytest.mark.usefixtures("path_as_before")
def test_a_model_may_import_in_its_forward(tmp_path):
    written(tmp_path, late_net="def twice(x):\n    return x * 2\n", file=(
        "class Net(torch.nn.Module):\n    def forward(self, x):\n        from late_net import twice\n"
        "        return twice(x)\ndef make():\n    return Net(), torch.randn(2)\n"))  # fmt: skip
    model = load_model(f"{tmp_path / 'file.py'}:make")
    assert len(trace(model.module, model.inputs).calls) == 1
    assert sys.path[0] != str(tmp_path)


@pytest.mark.usefixtures("path_as_before")
def test_a_file_sees_its_own_command_line(tmp_path, monkeypatch):
    """argparse read opclock's arguments, and exited."""
    monkeypatch.setattr(sys, "argv", ["opclock", "trace", "x", "--json", "-"])
    written(tmp_path, file="import argparse\nparser = argparse.ArgumentParser()\n"
            "parser.add_argument('--width', type=int, default=8)\nwidth = parser.parse_args().width\n"
            "def make():\n    return torch.nn.Linear(width, 2), torch.randn(1, width)\n")  # fmt: skip
    assert load_model(f"{tmp_path / 'file.py'}:make").inputs[0].shape == (1, 8)
    assert sys.argv[1] == "trace"
