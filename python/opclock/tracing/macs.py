"""Multiply-accumulates of op calls. One MAC is one multiply and one add: two FLOPs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from opclock.tracing.op_call import OpCall, TensorSpec, Value, tensors
from opclock.tracing.trace import Trace, TracedCall

Shape = tuple[int, ...]


def convolution(weight: Shape, output: Shape) -> int:
    """MACs of a convolution: batch x C_out x spatial_out x (C_in / groups) x kernel.

    Args:
        weight: shape (C_out, C_in / groups, *kernel).
        output: shape (batch, C_out, *spatial_out).
    """
    return math.prod(output) * math.prod(weight[1:])


def transposed_convolution(weight: Shape, source: Shape) -> int:
    """MACs of a transposed convolution: batch x C_in x spatial_in x (C_out / groups) x kernel.

    Args:
        weight: shape (C_in, C_out / groups, *kernel).
        source: shape of the input, (batch, C_in, *spatial_in).
    """
    return math.prod(source) * math.prod(weight[1:])


def matmul(left: Shape, right: Shape) -> int:
    """MACs of a matrix product: rows x inner x columns, times the broadcast batch.

    Args:
        left: shape of the first operand, of any rank that torch.matmul takes.
        right: shape of the second operand.
    """
    if len(left) == 1:
        left = (1, *left)
    if len(right) == 1:
        right = (*right, 1)
    *left_batch, rows, inner = left
    *right_batch, _, columns = right
    return math.prod(broadcast(left_batch, right_batch)) * rows * inner * columns


def broadcast(left: Sequence[int], right: Sequence[int]) -> Shape:
    """The shape that two shapes broadcast to, by NumPy's rules."""
    rank = max(len(left), len(right))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in (left, right)]
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))


def attention(query: Shape, key: Shape, value: Shape) -> int:
    """MACs of attention's scores and weighted sum: queries x keys x (key width + value width), times heads and batch.

    Args:
        query: shape (..., queries, key width).
        key: shape (..., keys, key width).
        value: shape (..., keys, value width).
    """
    *batch, queries, width = query
    return math.prod(batch) * queries * key[-2] * (width + value[-1])


def einsum(equation: str, shapes: Sequence[Shape]) -> int:
    """MACs of an einsum: the product of the sizes of all indices, as if all operands were contracted at once.

    Args:
        equation: such as "bij,bjk->bik".
        shapes: the operands' shapes.
    """
    terms = equation.replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        letters = term.replace("...", "")
        batch = len(shape) - len(letters)
        names = [*(f"...{i}" for i in range(batch)), *letters] if term.startswith("...") else [*letters]
        names += [f"...{i}" for i in range(batch)] if term.endswith("...") and not term.startswith("...") else []
        sizes |= dict(zip(names, shape, strict=True))
    return math.prod(sizes.values())


def _shape(value: Value) -> Shape:
    return value.shape if isinstance(value, TensorSpec) else ()


def _first_output(outputs: tuple[Value, ...]) -> Shape:
    return next((spec.shape for spec in tensors(outputs)), ())


def _linear(weight: Shape, source: Shape) -> int:
    return math.prod(source[:-1]) * math.prod(weight)


def _recurrent(call: OpCall, outputs: tuple[Value, ...]) -> int:
    # Each weight matrix is applied once a step and batch item; biases are vectors.
    weights = [spec for value in call.args if isinstance(value, tuple) for spec in tensors(value)]
    steps = math.prod(call.tensors()[0].shape[:2])
    return steps * sum(spec.numel for spec in weights if len(spec.shape) == 2)


def _native_attention(call: OpCall, outputs: tuple[Value, ...]) -> int:
    source: TensorSpec = call.args[0]
    batch, length, width = source.shape
    projections = sum(math.prod(_shape(call.args[i])) for i in (5, 7))
    return batch * length * projections + attention((batch, length, width), (length, width), (length, width))


def _encoder_layer(call: OpCall, outputs: tuple[Value, ...]) -> int:
    source: TensorSpec = call.args[0]
    batch, length, width = source.shape
    matrices = sum(spec.numel for spec in call.tensors()[1:] if len(spec.shape) == 2)
    return batch * length * matrices + attention((batch, length, width), (length, width), (length, width))


Counter = Callable[[OpCall, tuple[Value, ...]], int]

COUNTERS: dict[str, Counter] = {
    **{
        name: lambda call, outputs: convolution(_shape(call.args[1]), _first_output(outputs))
        for name in ("conv1d", "conv2d", "conv3d", "mkldnn_convolution", "thnn_conv2d")
    },
    **{
        name: lambda call, outputs: transposed_convolution(_shape(call.args[1]), _shape(call.args[0]))
        for name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
    },
    **{
        name: lambda call, outputs: (
            transposed_convolution(_shape(call.args[1]), _shape(call.args[0]))
            if call.args[6]
            else convolution(_shape(call.args[1]), _first_output(outputs))
        )
        for name in ("convolution", "_convolution")
    },
    "linear": lambda call, outputs: _linear(_shape(call.args[1]), _shape(call.args[0])),
    **{
        name: lambda call, outputs: matmul(_shape(call.args[0]), _shape(call.args[1]))
        for name in ("mm", "bmm", "matmul", "mv", "dot")
    },
    **{
        name: lambda call, outputs: matmul(_shape(call.args[1]), _shape(call.args[2]))
        for name in ("addmm", "baddbmm", "addbmm", "addmv")
    },
    "einsum": lambda call, outputs: einsum(call.args[0], [spec.shape for spec in call.tensors()]),
    "scaled_dot_product_attention": lambda call, outputs: attention(
        _shape(call.argument(0, "query")), _shape(call.argument(1, "key")), _shape(call.argument(2, "value"))
    ),
    "_native_multi_head_attention": _native_attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn_tanh": _recurrent,
    "rnn_relu": _recurrent,
}


def macs(traced: TracedCall) -> int:
    """Count the MACs of one op call.

    Args:
        traced: the op call with its outputs.

    Returns:
        MACs; 0 for an operator that multiplies nothing by a weight or another matrix.
    """
    counter = COUNTERS.get(traced.call.name)
    return counter(traced.call, traced.outputs) if counter else 0


def needed_macs(traced: TracedCall) -> int:
    """Count the MACs of one op call that a kernel cannot skip: without a convolution's taps on padding.

    Args:
        traced: the op call with its outputs.

    Returns:
        MACs, at most ``macs(traced)``. Ceilings are computed from this number.
    """
    total = macs(traced)
    if traced.call.name not in ("conv1d", "conv2d", "conv3d") or not total:
        return total
    source, weight, output = _shape(traced.call.args[0]), _shape(traced.call.args[1]), _first_output(traced.outputs)
    spatial = len(weight) - 2
    given = [traced.call.argument(3, "stride", 1), traced.call.argument(4, "padding", 0),
             traced.call.argument(5, "dilation", 1)]  # fmt: skip
    if isinstance(given[1], str):  # padding given as a word: "same"
        return total
    stride, padding, dilation = (_by_dimension(value, spatial) for value in given)
    for i in range(spatial):
        size, taps, outputs = source[-spatial + i], weight[2 + i], output[-spatial + i]
        met = sum(_positions(size, outputs, stride[i], tap * dilation[i] - padding[i]) for tap in range(taps))
        total = total * met // (taps * outputs)
    return total


def _by_dimension(value: Value, count: int) -> tuple[int, ...]:
    """A setting for each spatial dimension, from one number for all or one for each."""
    several = value if isinstance(value, tuple) else (value,)
    return several * count if len(several) == 1 else several


def _positions(size: int, outputs: int, stride: int, offset: int) -> int:
    """How many outputs have an input pixel, 0 to size - 1, at position * stride + offset."""
    first = max(0, -(offset // stride))
    last = min(outputs - 1, (size - 1 - offset) // stride)
    return max(0, last - first + 1)


def macs_thop(traced: TracedCall) -> int:
    """Count the MACs of one op call as the thop profiler does.

    thop counts modules only. Convolutions and linear layers count as in ``macs``. Batch norm counts 4 per element: 2,
    doubled for the affine part. Functional calls count 0.

    Args:
        traced: the op call with its outputs.

    Returns:
        MACs by thop's convention.
    """
    if traced.module_type.startswith(("Conv", "Linear")):
        return macs(traced)
    if traced.module_type.startswith("BatchNorm") and traced.call.name == "batch_norm":
        return (4 if traced.call.args[1] is not None else 2) * math.prod(_first_output(traced.outputs))
    return 0


def model_macs(trace: Trace) -> int:
    """Count the MACs of one inference of the traced model."""
    return sum(macs(traced) for traced in trace.calls)


def model_macs_thop(trace: Trace) -> int:
    """Count the MACs of one inference of the traced model by thop's convention, see ``macs_thop``."""
    return sum(macs_thop(traced) for traced in trace.calls)


# Operators that read only those rows of their table that they return.
PICKING = ("embedding", "index_select", "gather", "index", "take")
# Operators that write their first argument without reading it.
FILLING = ("copy_", "fill_", "zero_")


def moved_bytes(traced: TracedCall) -> int:
    """Count the bytes that an op call must read and write at least.

    Each tensor argument and each output counts once. A copy between devices counts its bytes once, as the bandwidth of
    a link does.

    Args:
        traced: the op call with its outputs.

    Returns:
        Bytes.
    """
    if not traced.writes:
        return 0
    outputs = list(tensors(traced.outputs))
    written = sum(spec.moved for spec in outputs)
    read = [spec for spec in traced.call.tensors() if spec.same_as is None]
    if traced.call.name in FILLING:
        read = read[1:]
    if read and outputs and {spec.device for spec in read}.isdisjoint(spec.device for spec in outputs):
        return written
    if traced.call.name in PICKING:
        return 2 * written + sum(spec.moved for spec in read if "int" in spec.dtype)
    return sum(spec.moved for spec in read) + written


def footprint_bytes(traced: TracedCall) -> int:
    """Count the bytes of memory that an op call touches. Overwritten memory counts once here, but twice as moved.

    Args:
        traced: the op call with its outputs.

    Returns:
        Bytes.
    """
    written = sum(spec.moved for spec in tensors(traced.outputs))
    in_place = traced.call.name.endswith("_") and traced.call.name not in FILLING
    return moved_bytes(traced) - (written if in_place else 0)
