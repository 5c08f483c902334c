from __future__ import annotations

import pytest
import torch
from helpers import spec
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from opclock.models.zoo import ZOO
from opclock.tracing.macs import broadcast, convolution, einsum, macs, macs_thop, matmul, model_macs, needed_macs
from opclock.tracing.op_call import OpCall
from opclock.tracing.recorder import trace
from opclock.tracing.trace import TracedCall


def counted_by_torch(model, *inputs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ZOO)
def test_zoo_as_torch_counts(name):
    model, image = ZOO[name]().eval(), torch.randn(2, 3, 32, 32)
    assert model_macs(trace(model, (image,))) == counted_by_torch(model, image)


@settings(max_examples=40)
@given(
    groups=st.sampled_from([1, 2, 4]), out=st.sampled_from([4, 8]), kernel=st.integers(1, 3), stride=st.integers(1, 2),
    dilation=st.integers(1, 2), batch=st.integers(1, 3), transposed=st.booleans(),
)  # fmt: skip
def test_convolutions_as_torch_counts(groups, out, kernel, stride, dilation, batch, transposed):
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    model = kind(8, out, kernel, stride=stride, dilation=dilation, groups=groups).eval()
    image = torch.randn(batch, 8, 9, 7)
    assert model_macs(trace(model, (image,))) == counted_by_torch(model, image)


@settings(max_examples=60)
@given(
    groups=st.sampled_from([1, 2, 4]), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)), stride=st.integers(1, 3),
    dilation=st.integers(1, 3), padding=st.tuples(st.integers(0, 7), st.integers(0, 7)), sides=st.tuples(
        st.integers(1, 9), st.integers(1, 9)),
)  # fmt: skip
def test_needed_are_those_that_meet_the_image(groups, kernel, stride, dilation, padding, sides):
    image = torch.ones(2, 4, *sides)
    model = torch.nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias=False).eval()
    torch.nn.init.ones_(model.weight)
    assume(all(side + 2 * around > dilation * (taps - 1)
               for side, around, taps in zip(sides, padding, kernel, strict=True)))  # fmt: skip
    traced = trace(model, (image,)).calls[0]
    with torch.inference_mode():
        assert needed_macs(traced) == int(model(image).sum())  # a one for every tap on the image
    assert needed_macs(traced) <= macs(traced)


class Products(torch.nn.Module):
    def forward(self, left, right, batch):
        row = left @ right + torch.mm(left, right) + torch.addmm(right[0], left, right)
        out = torch.bmm(batch, batch.transpose(1, 2)) + torch.matmul(batch, batch.mT)
        return row.sum() + out.sum()


def test_products_as_torch_counts():
    inputs = (torch.randn(3, 4), torch.randn(4, 5), torch.randn(2, 6, 7))
    assert model_macs(trace(Products(), inputs)) == counted_by_torch(Products(), *inputs)


def test_attention_as_torch_counts():
    model = torch.nn.MultiheadAttention(16, 4, batch_first=True).eval()
    x = torch.randn(2, 5, 16)
    # Outside inference mode torch takes the same layer apart into products it can count.
    assert model_macs(trace(model, (x, x, x))) == 2 * 5 * 16 * 16 * 4 + 2 * 5 * 5 * 16 * 2
    layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    assert model_macs(trace(layer, (x,))) == 2 * 5 * (16 * 16 * 4 + 16 * 32 * 2) + 2 * 5 * 5 * 16 * 2


def test_lstm():
    model, x = torch.nn.LSTM(3, 5, batch_first=True).eval(), torch.randn(2, 7, 3)
    assert model_macs(trace(model, (x,))) == 2 * 7 * 4 * 5 * (3 + 5)


def test_by_hand():
    assert convolution((8, 2, 3, 3), (2, 8, 5, 5)) == 2 * 8 * 25 * 2 * 9
    assert matmul((4,), (4, 5)) == 20
    assert matmul((7, 1, 2, 3), (6, 3, 4)) == 7 * 6 * 2 * 3 * 4
    assert einsum("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]) == 2 * 3 * 4 * 5
    assert einsum("...ij,jk", [(7, 3, 4), (4, 5)]) == 7 * 3 * 4 * 5
    assert broadcast((3, 1), (5,)) == (3, 5)


def test_thop_counts_norm_and_no_functions():
    image = spec(1, 4, 8, 8)
    norm = OpCall("aten::batch_norm", "", (image, spec(4), spec(4), spec(4), spec(4), False, 0.1, 1e-5, True))
    assert macs_thop(TracedCall(norm, (image,), (0, 1, 2, 3, 4), (5,), "bn", "BatchNorm2d")) == 4 * 256
    cat = OpCall("aten::cat", "", ((image, image), 1))
    assert macs_thop(TracedCall(cat, (spec(1, 8, 8, 8),), (0, 0), (1,), "", "Block")) == 0
