"""A trace put on another device or into another dtype."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers import chain, spec
from torch import nn

from opclock.tracing.op_call import NamedConstant, OpCall
from opclock.tracing.placement import place
from opclock.tracing.recorder import trace
from opclock.tracing.trace import TracedCall


class Small(nn.Module):
    """Weights, a view, a constant made in the input's dtype, and indices."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        hidden = torch.relu(self.norm(self.convolution(image))).mean((2, 3))
        offset = torch.zeros(4, dtype=image.dtype, device=image.device)
        return torch.softmax(self.head(hidden) + offset, -1).argmax(-1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_as_the_model_itself_is_traced_in_that_dtype(dtype):
    name = str(dtype)[6:]
    there = trace(Small().to(dtype).eval(), (torch.randn(1, 3, 16, 16, dtype=dtype),))
    moved = place(trace(Small().eval(), (torch.randn(1, 3, 16, 16),)), "cpu", name)
    assert [one.call.key for one in moved.calls] == [one.call.key for one in there.calls]
    assert moved.storages == there.storages
    assert (moved.dtype, moved.working_set) == (name, there.working_set)


def test_there_and_back_is_the_same_trace():
    here = chain("conv2d", "relu", "linear")
    assert place(place(here, "cuda:0", "float16"), "cpu", "float32") == here
    assert place(here, "cpu", "float32") is here


def test_constants_and_indices():
    numbers = replace(spec(2, 2), dtype="int64")
    kwargs = (("device", NamedConstant("device", "cpu")), ("dtype", NamedConstant("dtype", "float32")))
    call = OpCall("aten::zeros", "", ((4,), numbers), kwargs)
    here = replace(chain("relu"), calls=(TracedCall(call, (spec(4),), (0,), (1,)),))
    moved = place(here, "cuda:0", "float16").calls[0].call
    assert moved.kwargs == (("device", NamedConstant("device", "cuda:0")), ("dtype", NamedConstant("dtype", "float16")))
    assert moved.args[1] == replace(numbers, device="cuda:0")
