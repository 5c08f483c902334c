"""What a model needs so that it can be recorded is done by itself, and the trace's note says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import opclock
from torch import nn

from opclock.timing.host_playback import PlayedHost
from opclock.timing.reference import ReferenceRun, forward_of, reference
from opclock.tracing.macs import model_macs
from opclock.tracing.model_inputs import CallInputs
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace
from opclock.validation import session

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
WAYS = pytest.mark.parametrize("real", [None, False, True])


def names(traced):
    return [traced_call.call.name for traced_call in traced.calls]


class Forces(nn.Module):
    """The gradient of an energy by positions."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def forward(self, at):
        with torch.enable_grad():
            at = at.detach().requires_grad_(True)
            return -torch.autograd.grad(self.net(at).square().sum(), at)[0]


@WAYS
def test_gradients_inside_a_forward_are_recorded_without_inference_mode(real):
    model, at = Forces(), torch.randn(4, 3)
    traced = trace(model, (at,), real=real)
    assert traced.steps == ("gradients",)
    assert "torch.no_grad()" in traced.note
    assert "pow" in names(traced)
    assert names(traced)[-1] == "neg"
    ReferenceRun(forward_of(model, (at,), steps=traced.steps))
    played = PlayedHost(traced, forward_of(model, (at,), steps=traced.steps))
    assert played.alone().shape == (len(traced.calls) + 1,)  # a second time: autograd found nothing of the first
    with pytest.raises(RuntimeError), torch.inference_mode():
        model(at)


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    pad = torch.tensor([[False, False, False], [False, True, True]])
    return nn.TransformerEncoder(layer, 1).eval(), ((torch.randn(2, 3, 8),), {"src_key_padding_mask": pad})


@WAYS
def test_a_padded_encoder_is_recorded_without_nested_tensors(real):
    model, inputs = encoder()
    traced = trace(model, CallInputs(*inputs), real=real)
    assert traced.steps == ("padded",)
    assert "enable_nested_tensor=False" in traced.note
    assert "_transformer_encoder_layer_fwd" in names(traced)
    rows, matrices, attention = 2 * 3, 8 * 24 + 8 * 8 + 2 * 8 * 8, 2 * 2 * 3 * 3 * 8
    assert model_macs(traced) == rows * matrices + attention
    assert model.use_nested_tensor
    PlayedHost(traced, forward_of(model, CallInputs(*inputs), steps=traced.steps))


def test_another_nested_tensor_is_one_line():
    class Nests(nn.Module):
        def forward(self, x):
            return torch.nested.nested_tensor([x, x])

    with pytest.raises(Exception, match="nested tensor cannot be recorded") as caught:
        trace(Nests(), (torch.randn(2),))
    assert "\n" not in str(caught.value)


class Squashes(nn.Module):
    def __init__(self, compiled):
        super().__init__()
        self.squash = torch.compile(lambda x: x * x.sigmoid(), backend=compiled)

    def forward(self, x):
        return self.squash(x) + 1


@WAYS
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_compiled_is_recorded_uncompiled_and_compiled_afterwards(real, whole):
    compilations = []

    def backend(graph, _inputs):
        compilations.append(graph)
        return graph.forward

    model = Squashes(backend) if not whole else torch.compile(nn.ReLU(), backend=backend)
    x = torch.randn(3)
    traced = trace(model, (x,), real=real)
    assert traced.steps == ("uncompiled",)
    assert "its kernels are not these op calls" in traced.note
    assert names(traced) == (["relu"] if whole else ["sigmoid", "mul", "add"])
    PlayedHost(traced, forward_of(model, (x,), steps=traced.steps))
    assert not compilations
    model(x)
    assert len(compilations) == 1


def test_steps_are_kept_in_a_trace_file(tmp_path):
    traced = trace(Forces(), (torch.randn(4, 3),))
    traced.save(tmp_path / "trace.json")
    assert Trace.load(tmp_path / "trace.json") == traced


def test_a_model_on_the_meta_device_has_nothing_to_run_on():
    with torch.device("meta"):
        model = nn.Linear(4, 4)
    with pytest.raises(Exception, match=r"no values.*to_empty"):
        reference(model, (torch.randn(1, 4),), blocks=1)


FORCES = """
import sys; sys.path.insert(0, {folder!r})
from test_steps import Forces
import torch
def make():
    return Forces(), torch.randn(4, 3)
"""


def test_validate_takes_the_step_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "MAX_S", 0.05)
    monkeypatch.setattr(session, "MIN_BLOCKS", 1)
    file = tmp_path / "forces.py"
    file.write_text(FORCES.format(folder=str(Path(__file__).parent)))
    done = opclock("validate", f"{file}:make", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "torch.no_grad()" in done.stdout
