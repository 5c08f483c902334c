"""Which kernel a convolution runs is what PyTorch chooses."""

from __future__ import annotations

import random

import pytest

from opclock.prediction.convolution_backend import is_native
from opclock.tracing.op_call import OpCall, TensorSpec


def spec(*shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return TensorSpec(shape, tuple(strides), "float32")


def drawn(chance):
    """The arguments of a random convolution: batch, channels, side, kernel, stride, dilation and groups."""
    channels, depthwise = chance.choice((4, 16, 64)), chance.random() < 0.3
    kernel = chance.choice((1, 1, 3, 3, 4, 5, 7))
    side = chance.choice((kernel + kernel, 14, 20, 56))
    return (chance.choice((1, 1, 1, 2, 16)), channels, side, kernel, chance.choice((1, 2)), chance.choice((1, 1, 2)),
            channels if depthwise else 1)  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
def test_native_convolutions_are_those_that_pytorch_does_not_give_to_onednn(threads):
    torch = pytest.importorskip("torch")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch has no oneDNN")
    before, chance, answers = torch.get_num_threads(), random.Random(0), set()
    torch.set_num_threads(threads)
    try:
        for _ in range(200):
            batch, channels, side, kernel, stride, dilation, groups = drawn(chance)
            source, weight = (batch, channels, side, side), (channels, channels // groups, kernel, kernel)
            steps = (stride, stride), (0, 0), (dilation, dilation)
            call = OpCall("aten::conv2d", "", (spec(*source), spec(*weight), None, *steps, groups))
            chosen = torch._C._select_conv_backend(
                torch.empty(source), torch.empty(weight), None, *map(list, steps), False, [0, 0], groups
            )
            assert is_native(call, threads) == ("Mkldnn" not in str(chosen)), (call, chosen)
            answers.add(is_native(call, threads))
    finally:
        torch.set_num_threads(before)
    assert answers == {True, False}


def test_what_is_no_convolution_of_float32_is_not_native():
    rows = spec(4, 16)
    assert not is_native(OpCall("aten::linear", "", (rows, rows)), 1)
    assert not is_native(OpCall("aten::conv2d", "", ()), 1)
