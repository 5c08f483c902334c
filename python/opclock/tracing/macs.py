"""Multiply-accumulates of op calls. One MAC is one multiply and one add: two FLOPs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from opclock.tracing.mac_counters import counter_of, may_multiply
from opclock.tracing.op_call import TensorSpec, Value, tensors
from opclock.tracing.products import Shape
from opclock.tracing.trace import Trace, TracedCall


def _shape(value: Value) -> Shape:
    return value.shape if isinstance(value, TensorSpec) else ()


def _first_output(outputs: tuple[Value, ...]) -> Shape:
    return next((spec.shape for spec in tensors(outputs)), ())


def macs(traced: TracedCall) -> int:
    """Count the MACs of one op call.

    Args:
        traced: the op call with its outputs.

    Returns:
        MACs; 0 for an operator that multiplies nothing by a weight or another matrix, and for one that nobody knows
        how to count (see ``uncounted``).
    """
    counter = counter_of(traced.call)
    return counter(traced.call, _first_output(traced.outputs)) if counter else 0


def uncounted(trace: Trace) -> dict[str, int]:
    """The operators that may multiply matrices and that ``macs`` does not count, with their numbers of op calls."""
    calls = (traced.call for traced in trace.calls)
    return dict(Counter(call.operator for call in calls if counter_of(call) is None and may_multiply(call)))


def needed_macs(traced: TracedCall) -> int:
    """Count the MACs of one op call that a kernel cannot skip: without a convolution's taps on padding.

    Args:
        traced: the op call with its outputs.

    Returns:
        MACs, at most ``macs(traced)``. Ceilings are computed from this number.
    """
    total = macs(traced)
    if traced.call.operator not in ("aten::conv1d", "aten::conv2d", "aten::conv3d") or not total:
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
    return sum(spec.moved for spec in read) + sum(one.nbytes for one in traced.call.packed) + written


def bytes_per_call(calls: Sequence[TracedCall]) -> float:
    """The bytes that one of these op calls moves on average, see ``moved_bytes``; 0 where there is none."""
    return sum(moved_bytes(traced) for traced in calls) / max(1, len(calls))


def footprint_bytes(traced: TracedCall, moved: int | None = None) -> int:
    """Count the bytes of memory that an op call touches. Overwritten memory counts once here, but twice as moved.

    Args:
        traced: the op call with its outputs.
        moved: its ``moved_bytes``, where they are known.

    Returns:
        Bytes.
    """
    in_place = traced.call.name.endswith("_") and traced.call.name not in FILLING
    written = sum(spec.moved for spec in tensors(traced.outputs)) if in_place else 0
    return (moved_bytes(traced) if moved is None else moved) - written
