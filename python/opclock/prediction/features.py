"""The features of an op call: the numbers that its time is predicted from. Needs no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from opclock.prediction.ceilings import Ceilings, call_dtype
from opclock.prediction.convolution_backend import is_native
from opclock.prediction.surroundings import Between
from opclock.tracing.macs import footprint_bytes, macs, moved_bytes, needed_macs
from opclock.tracing.op_call import ITEM_BYTES, TensorSpec, Value, tensors
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import TracedCall

TILES = (8, 16, 32, 64)  # elements: usual sizes of vector registers and of blocks in blocked layouts
CACHED = 1 << 20  # bytes that every board has in a cache
CONVOLUTION_NUMBERS = 16 + 3 * len(TILES)
NATIVE = "native convolution"  # ATen's own kernels in place of oneDNN's: a predictor of their own
ATTENTION = "scaled_dot_product"  # these kernels differ too much from the rest of their class: a predictor of their own
ALONE = Between()
DIGITS = 9  # after the point: the last bits of a logarithm differ between C libraries


@dataclass(frozen=True)
class Features:
    """An op call, described for a predictor."""

    operator: str
    operator_class: str
    kind: str  # the predictor it belongs to: its operator class, or a kind with its own predictor
    min_s: float  # shortest time by the ceilings, with weights in the memory that holds the working set
    numbers: tuple[float, ...]  # the features; equally many for every call of a kind
    work_s: tuple[float, ...] = (0.0,) * 5  # shortest times by the ceilings: see ``_work_s``


def features_of(
    traced: TracedCall, ceilings: Ceilings, working_set: int, between: Between = ALONE, *, in_network: bool = True
) -> Features:
    """Compute the features of an op call.

    Args:
        traced: the op call with its outputs.
        ceilings: the board's ceilings.
        working_set: number of binary digits of the bytes that it and the op calls around it touch, as in ``Condition``.
        between: what runs between two of its runs.
        in_network: whether it runs among the op calls of a network, and not in a pool of unrelated kernels.

    Returns:
        The features; ``min_s`` in seconds.
    """
    operator_class = class_of(traced.call)
    amount = _Amount.of(traced)
    vector = _is_vector(traced, ceilings.threads)
    bounds = _Bounds.of(traced, amount, ceilings, working_set)
    work_s = _work_s(traced, bounds, vector=vector)
    min_s = max(bounds.multiply_s, bounds.weights_s + bounds.rest_s)  # the roofline (Williams et al. 2009)
    numbers = [float(in_network), *between, *_amounts(amount, min_s), *_layout(traced), *_shape(traced)]
    if operator_class == "convolution":
        numbers += [*_convolution(traced), float(vector)]
    if operator_class in ("gemm", "recurrent"):
        numbers += [*_gemm(traced), float(vector)]
    name = traced.call.name.removesuffix("_")
    kind = "attention" if ATTENTION in name else operator_class
    if operator_class == "convolution" and is_native(traced.call, ceilings.threads):
        kind = NATIVE
    return Features(name, operator_class, kind, min_s, tuple(round(number, DIGITS) for number in numbers), work_s)


@dataclass(frozen=True)
class _Amount:
    """How much a call multiplies, reads and writes."""

    macs: int
    moved: int  # bytes that it reads and writes
    weights: int  # bytes of weights
    read: int  # bytes of other arguments
    written: int  # bytes

    @staticmethod
    def of(traced: TracedCall) -> _Amount:
        weights = read = 0
        for spec in traced.call.tensors():
            weights, read = (weights + spec.moved, read) if spec.requires_grad else (weights, read + spec.moved)
        written = sum(spec.moved for spec in tensors(traced.outputs))
        return _Amount(macs(traced), moved_bytes(traced), weights, read, written)


@dataclass(frozen=True)
class _Bounds:
    """The shortest seconds of each part of a call's work, by the ceilings."""

    multiply_s: float
    weights_s: float  # reading weights from the memory that holds the working set
    cached_s: float  # reading them from a cache
    rest_s: float  # reading and writing everything else

    @staticmethod
    def of(traced: TracedCall, amount: _Amount, ceilings: Ceilings, working_set: int) -> _Bounds:
        weights = min(amount.moved, amount.weights)
        far = max(amount.moved, 1 << working_set)
        near = footprint_bytes(traced, amount.moved)
        return _Bounds(
            needed_macs(traced) / ceilings.peak(call_dtype(traced)),
            weights / ceilings.bandwidth(far, ["read"]),
            weights / ceilings.bandwidth(CACHED, ["read"]),
            (amount.moved - weights) / ceilings.bandwidth(near),
        )


def _work_s(traced: TracedCall, bounds: _Bounds, *, vector: bool) -> tuple[float, ...]:
    """The shortest seconds of each kind of work.

    These are multiply-adds, those of depthwise convolutions instead, reading weights, reading them for a single vector
    instead, and reading and writing everything else. A convolution copies its weights into blocks first, which takes as
    long from any memory; a vector meets them where they are.
    """
    multiplying = (0.0, bounds.multiply_s) if _is_depthwise(traced) else (bounds.multiply_s, 0.0)
    copied = class_of(traced.call) == "convolution"
    reading = (0.0, bounds.weights_s) if vector else (bounds.cached_s if copied else bounds.weights_s, 0.0)
    return (*multiplying, *reading, bounds.rest_s)


def _is_depthwise(traced: TracedCall) -> bool:
    shapes = [spec.shape for spec in traced.call.tensors()[:2]]
    convolves = class_of(traced.call) == "convolution" and len(shapes) == 2
    return convolves and len(shapes[0]) > 2 and shapes[1][1:2] == (1,) and shapes[0][1] > 1


def _is_vector(traced: TracedCall, threads: int) -> bool:
    """Whether a single vector is multiplied: libraries use another kernel than for a matrix."""
    operator_class = class_of(traced.call)
    if operator_class == "gemm":
        rows, _, _, batch = _product(traced)
        return rows * batch == 1
    native = operator_class == "convolution" and is_native(traced.call, threads)
    return native and math.prod(next(tensors(traced.outputs)).shape[2:]) == 1


def _log(value: float) -> float:
    return math.log2(1.0 + value)


def _amounts(amount: _Amount, min_s: float) -> list[float]:
    intensity = amount.macs / max(1, amount.moved)
    return [_log(amount.macs), _log(amount.weights), _log(amount.read), _log(amount.written), _log(intensity),
            _log(min_s * 1e9)]  # fmt: skip


def _layout(traced: TracedCall) -> list[float]:
    """The memory layouts and dtypes of the tensors."""
    specs = traced.call.tensors()
    first = specs[0] if specs else None
    out = next(tensors(traced.outputs), None)
    if first is None or out is None:
        return [0.0] * 7
    smallest = min(spec.numel for spec in specs)
    return [
        float(ITEM_BYTES.get(first.dtype, 4)),
        float(ITEM_BYTES.get(out.dtype, 4)),
        _order(first),
        _order(out),
        float(traced.call.name.endswith("_")),
        float(len(specs)),
        _log(out.numel / max(1, smallest)),
    ]


def _order(spec: TensorSpec) -> float:
    """0 for row-major without gaps, 1 for row-major with gaps, 2 for any other order."""
    steps = [step for size, step in zip(spec.shape, spec.stride, strict=True) if size > 1]
    if steps != sorted(steps, reverse=True):
        return 2.0
    return 0.0 if spec.span == spec.numel else 1.0


def _shape(traced: TracedCall) -> list[float]:
    """Sizes of the first argument and the first output: innermost, next, the rest."""
    specs = traced.call.tensors()
    sizes: list[float] = []
    for spec in (specs[0] if specs else None, next(tensors(traced.outputs), None)):
        shape = spec.shape if spec is not None else ()
        padded = (1, 1, 1, *shape)
        sizes += [_log(padded[-1]), _log(padded[-2]), _log(padded[-3]), _log(math.prod(padded[:-3]))]
    return sizes


def _convolution(traced: TracedCall) -> list[float]:
    specs = traced.call.tensors()
    if len(specs) < 2:
        return [0.0] * CONVOLUTION_NUMBERS
    source, weight = specs[0].shape, specs[1].shape
    out = next(tensors(traced.outputs)).shape
    groups = max(1, source[1] // max(1, weight[1])) if "transpose" not in traced.call.name else 1
    inner, outer = weight[1], weight[0] // groups
    kernel = (*weight[2:], 1)[:2]
    around = math.prod(out[2:])
    columns = out[-1]
    return [
        _log(inner), _log(outer), _log(groups), float(inner == 1 and groups > 1), float(groups > 1),
        float(kernel[0]), float(kernel[1]), _log(math.prod(kernel)), _log(around), _log(columns), _log(source[0]),
        *_remainders(inner), *_remainders(outer), *_remainders(columns),
        source[-1] / max(1, columns), _log(source[0] * around), float(len(specs) > 2),
        _log(weight[0]), _log(source[1]),
    ]  # fmt: skip


def _remainders(size: int) -> list[float]:
    """The used fraction of the last tile, by tile size; 1 where the tile size divides the size."""
    return [((size - 1) % tile + 1) / tile for tile in TILES]


def _gemm(traced: TracedCall) -> list[float]:
    rows, columns, inner, batch = _product(traced)
    specs = traced.call.tensors()
    turned = [float(_order(spec) == 2.0) for spec in (*specs[:3], *specs[:1] * 3)][:3]
    return [
        _log(rows), _log(columns), _log(inner), _log(batch), _log(rows * batch), _log(rows * columns),
        _log(columns * inner), *_remainders(rows), *_remainders(columns), *_remainders(inner), *turned,
    ]  # fmt: skip


def _product(traced: TracedCall) -> tuple[int, int, int, int]:
    """Rows, columns, inner size and batch: of a product, attention's scores, or a recurrent layer's first gates."""
    call = traced.call
    specs = call.tensors()
    out = next(tensors(traced.outputs)).shape
    if class_of(call) == "recurrent":
        steps, batch = (1, 1, *specs[0].shape[:-1])[-2:]
        gates = (1, 1, *next((spec for spec in specs if spec.requires_grad), specs[-1]).shape)
        return steps, gates[-2], gates[-1], batch
    if ATTENTION in call.name:
        query, key = specs[0].shape, specs[1].shape
        return query[-2], key[-2], query[-1], math.prod(query[:-2])
    if call.name == "linear":
        return math.prod(out[:-1]), out[-1], specs[0].shape[-1], 1
    first: Value = specs[1] if call.name in ("addmm", "baddbmm", "addbmm") and len(specs) > 1 else specs[0]
    padded = (1, 1, *out)
    return padded[-2], padded[-1], (1, *first.shape)[-1], math.prod(padded[:-2])
