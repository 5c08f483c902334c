"""Which of PyTorch's kernels a convolution on the CPU runs, from its arguments alone. Needs no torch."""

from __future__ import annotations

import math

from opclock.tracing.op_call import OpCall, TensorSpec, Value

MAX_ELEMENTS = 20480  # of one image: up to so many, ATen's own kernel multiplies small dense kernels
MIN_BATCH = 16  # from which oneDNN multiplies kernels of one element, whatever the number of threads
SMALL_KERNEL = 3  # elements a side


def is_native(call: OpCall, threads: int) -> bool:
    """Whether a convolution runs ATen's own kernel, which copies patches and multiplies matrices, and not oneDNN's.

    As ``ConvParams::use_mkldnn`` decides in aten/src/ATen/native/Convolution.cpp. Bfloat16 and float16 are oneDNN's.

    Args:
        call: a convolution on the CPU.
        threads: PyTorch's threads.

    Returns:
        The answer; False for what is no convolution of one or two dimensions.
    """
    source, weight = (*call.args[:2], None, None)[:2]
    if not isinstance(source, TensorSpec) or not isinstance(weight, TensorSpec) or source.dtype != "float32":
        return False
    if len(source.shape) != len(weight.shape) or len(source.shape) not in (3, 4):
        return False
    kernel = (1, *weight.shape[2:])[-2:]
    strides, dilations = call.argument(3, "stride", 1), call.argument(5, "dilation", 1)
    if kernel == (1, 1) and threads == 1 and source.shape[0] < MIN_BATCH and _ones(strides) and _ones(dilations):
        return True
    dense = call.name.startswith("conv_transpose") or source.shape[1] == weight.shape[1]
    small = min(kernel) <= SMALL_KERNEL and source.shape[0] == 1 and math.prod(source.shape) <= MAX_ELEMENTS
    return dense and small


def _ones(value: Value) -> bool:
    return all(one == 1 for one in value) if isinstance(value, tuple) else value == 1
