"""Models by name: what is not there is one line that says what may have been meant."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers import SMALL
from torch import nn

from opclock import trace
from opclock.errors import ModelError, OptionError
from opclock.models import libraries
from opclock.models.libraries import LIBRARIES
from opclock.models.loading import load_model
from opclock.models.names import KINDS


def has(package):
    return importlib.util.find_spec(package) is not None


if has("torchvision"):  # its compiled operators may be missing, and timm imports it
    import benchmarks.torchvision_operators  # noqa: F401


def test_the_kinds_of_names_are_the_libraries():
    assert set(KINDS) == set(LIBRARIES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("zoo:mobilenetv9", "did you mean mobilenetv2"),
        ("zoo:zzz", "it has: vgg16"),
        ("torchvison:resnet18", "did you mean torchvision"),
        (SMALL.replace(":small", ":x"), "has no factory 'x'; it has: "),
        (SMALL + "er", "has no factory 'smaller': did you mean small"),
        ("ultralytics:yolov8n.pt", "ultralytics:yolov8n.yaml"),
        ("small", "write zoo:NAME"),
        (":", "write zoo:NAME"),
        ("hf:/", "has no config.json"),
    ],
)
def test_names_that_do_not_exist(name, message):
    if name.startswith("hf:") and not has("transformers"):
        pytest.skip("transformers is not installed")
    with pytest.raises(ModelError, match=message) as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["timm", "ultralytics", "torchvision", "hf"])
def test_a_library_that_is_missing_is_named_with_its_command(kind, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"not installed: pip install (timm|ultralytics|torchvision|transformers)"):
        load_model(f"{kind}:name.yaml")


@pytest.mark.skipif(not (has("timm") and has("torchvision")), reason="timm is not installed")
def test_a_model_of_timm_has_the_image_it_is_made_for():
    model = load_model("timm:mobilevit_xxs")
    assert model.name == "mobilevit_xxs"
    assert model.inputs[0].shape == (1, 3, 256, 256)
    with pytest.raises(ModelError, match="did you mean resnet"):
        load_model("timm:resnt18")


@pytest.mark.parametrize(
    ("engines", "options"),
    [(["x86", "fbgemm"], {"quantize": True}), (["qnnpack"], {"quantize": True, "backend": "qnnpack"})],
)
def test_quantised_models_of_torchvision_are_quantised(engines, options, monkeypatch):
    """They were built ready to be quantised, and ran in float32. Their own backend, FBGEMM, is missing on Arm."""
    given = {}
    models = SimpleNamespace(
        list_models=lambda: ["quantized_resnet18"],
        get_model=lambda _name, **options: given.update(options) or nn.Conv2d(3, 4, 1),
    )
    monkeypatch.setattr(libraries, "installed", lambda *_names: models)
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", engines)
    load_model("torchvision:quantized_resnet18")
    assert given == {"weights": None, **options}


def test_a_description_of_ultralytics(monkeypatch):
    library = SimpleNamespace(YOLO=lambda _name: SimpleNamespace(model=nn.Conv2d(3, 4, 1)))
    monkeypatch.setitem(sys.modules, "ultralytics", library)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    model = load_model("ultralytics:yolov8n.yaml")
    assert model.name == "yolov8n.yaml"
    assert model.inputs[0].shape == (1, 3, 640, 640)


def saved(program, path):
    torch.export.save(program, path)
    return str(path)


def test_an_exported_program_brings_its_inputs(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    image = torch.randn(1, 3, 32, 32)
    path = saved(torch.export.export(net, (image,)), tmp_path / "net.pt2")
    model = load_model(path)
    assert model.name == "net.pt2"
    assert torch.equal(model.inputs[0], image)
    assert torch.allclose(model.module(*model.inputs), net(image), atol=1e-6)
    names = [traced.call.operator for traced in trace(model.module, model.inputs).calls]
    assert names == ["aten::conv2d", "aten::batch_norm", "aten::relu"]
    with pytest.raises(OptionError, match="was exported in float32"):
        load_model(path, dtype="float16")
    assert load_model(path, dtype="float32").inputs[0].dtype == torch.float32


class Keywords(nn.Module):
    def forward(self, ids, mask):
        return ids * mask


def test_an_exported_program_with_keyword_arguments(tmp_path):
    program = torch.export.export(Keywords(), (torch.ones(2),), {"mask": torch.ones(2)})
    model = load_model(saved(program, tmp_path / "net.pt2"))
    assert len(trace(model.module, model.inputs).calls) == 1


class WithExported(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.export.export(nn.Linear(3, 3), (torch.randn(1, 3),)).module()

    def forward(self, x):
        return self.inner(x) + 1


def with_exported():
    return WithExported(), torch.randn(1, 3)


def test_a_module_that_holds_an_exported_program():
    """Exported programs refuse eval()."""
    assert not load_model(f"{__file__}:with_exported").module.training


@pytest.mark.parametrize("suffix", ["pt", "ts"])
@pytest.mark.parametrize("kind", ["scripted", "traced", "frozen"])
def test_torchscript_takes_inputs_from_the_command_line(tmp_path, kind, suffix):
    net = nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(32, 10)).eval()
    ids = torch.zeros(1, 4, dtype=torch.int64)
    script = torch.jit.trace(net, (ids,)) if kind == "traced" else torch.jit.script(net)
    path = tmp_path / f"net.{suffix}"
    torch.jit.save(torch.jit.freeze(script) if kind == "frozen" else script, path)
    with pytest.raises(ModelError, match="give input_text=SHAPE"):
        load_model(str(path))
    model = load_model(str(path), input_text="1x4:int64")
    assert model.name == path.name
    assert model.module(*model.inputs).shape == (1, 10)


def test_files_that_are_something_else(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "state.pt")
    (tmp_path / "text.pt2").write_text("no program")
    with pytest.raises(ModelError, match=r"state.pt is no TorchScript.*--weights"):
        load_model(str(tmp_path / "state.pt"))
    with pytest.raises(ModelError, match=r"text.pt2 is no exported program"):
        load_model(str(tmp_path / "text.pt2"))
    with pytest.raises(ModelError, match="there is no file"):
        load_model(str(tmp_path / "none.pt"))


def test_a_file_that_pytorch_cannot_read_leaves_no_traceback_in_the_log(tmp_path, caplog):
    """PyTorch logs one before it raises, and a command showed it above its own line."""
    (tmp_path / "empty.pt2").touch()
    with pytest.raises(ModelError, match=r"empty.pt2 is no exported program"):
        load_model(str(tmp_path / "empty.pt2"))
    assert caplog.records == []


def half():
    return nn.Linear(3, 3).to(torch.bfloat16), torch.randn(1, 3, dtype=torch.bfloat16)


def test_a_model_keeps_its_dtype_unless_another_is_named():
    own = load_model(f"{Path(__file__)}:half")
    assert own.module.weight.dtype == own.inputs[0].dtype == torch.bfloat16
    assert load_model(f"{__file__}:half", input_text="2x3").inputs[0].dtype == torch.bfloat16
    other = load_model(f"{__file__}:half", dtype="float32")
    assert other.module.weight.dtype == other.inputs[0].dtype == torch.float32


def test_what_a_library_logs_stays_unseen(monkeypatch, caplog):
    """With torchao installed, a model of transformers came with "Failed to load ... .so" and PyTorch's warnings."""

    def logs(_name):
        logging.getLogger("torchao").warning("Failed to load _C.so")
        return nn.Linear(2, 2), (torch.ones(1, 2),)

    monkeypatch.setitem(LIBRARIES, "timm", logs)
    load_model("timm:any")
    assert not caplog.records
    assert logging.root.manager.disable == 0
