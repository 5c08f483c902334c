"""Op calls: an ATen operator with the specs of its arguments, and a canonical key."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from opclock.files import json_text

ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex64": 8, "complex128": 16,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "qint8": 1, "quint8": 1, "qint32": 4,
    "uint64": 8, "uint32": 4, "uint16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Quantization:
    """How the integers of a quantised tensor stand for numbers: scale * (integer - zero point).

    ``scheme`` is PyTorch's name. ``axis`` is the dimension that has a scale for each index; then ``scale`` and
    ``zero_point`` are those of the first one.
    """

    scheme: str
    scale: float
    zero_point: int
    axis: int | None = None


@dataclass(frozen=True)
class TensorSpec:
    """A tensor without its values. Strides are in elements, as in PyTorch.

    ``same_as`` is the number of an earlier argument of the call that is the same tensor, if there is one: ``x * x``
    reads half the memory of ``x * y``, and self-attention may run another kernel. ``requires_grad`` is recorded because
    PyTorch folds a matmul or not depending on it, in inference as well. ``pinned`` marks page-locked host memory, which
    a device can copy by itself. ``conjugate`` marks a view whose imaginary parts stand for their negatives.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    device: str = "cpu"
    same_as: int | None = None
    requires_grad: bool = False
    pinned: bool = False
    quantization: Quantization | None = None
    conjugate: bool = False

    @cached_property
    def numel(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @cached_property
    def span(self) -> int:
        """Elements of storage from the first to the last element of the tensor; 0 for an empty one."""
        if self.numel == 0:
            return 0
        return 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes of storage from the first to the last element."""
        return self.span * ITEM_BYTES.get(self.dtype, 4)

    @property
    def moved(self) -> int:
        """Bytes of its elements, without gaps between them. Expanded elements count once."""
        return min(self.numel, self.span) * ITEM_BYTES.get(self.dtype, 4)

    def __str__(self) -> str:
        return f"{self.dtype}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class NamedConstant:
    """A PyTorch constant, recorded by its name, such as the dtype ``float32``."""

    kind: Literal["dtype", "layout", "memory_format", "device"]
    name: str


@dataclass(frozen=True)
class PackedParams:
    """Parameters in the form that a backend for quantised models computes with.

    ``prepack`` is the operator of the namespace ``quantized`` that makes them from ``args``. ``engine`` is the backend
    that was chosen (``torch.backends.quantized.engine``).
    """

    prepack: str
    args: tuple[Value, ...]
    engine: str

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors that it is made of."""
        return sum(spec.nbytes for spec in tensors(unpacked(self)))

    @property
    def numel(self) -> int:
        """The number of parameters that they hold. A recurrent cell has its biases twice: packed too, which count."""
        inner = tuple(packed_in(self.args))
        return sum(one.numel for one in inner) if inner else sum(spec.numel for spec in tensors(self.args))


HOST = "host"  # device of a tensor that stays on the host when the others are placed on a device

# An argument or output: a tensor's spec, a named constant, a plain value, or a tuple of them.
Value = Any


def encode(value: Value) -> Any:  # noqa: ANN401, PLR0911
    """Convert a value to JSON-ready data, without loss. Raises TypeError for a type that cannot be recorded."""
    if isinstance(value, TensorSpec):
        data: dict[str, Any] = {"tensor": value.dtype, "shape": list(value.shape), "stride": list(value.stride)}
        if value.device != "cpu":
            data["device"] = value.device
        if value.same_as is not None:
            data["same_as"] = value.same_as
        data |= {mark: True for mark in ("requires_grad", "pinned", "conjugate") if getattr(value, mark)}
        if value.quantization is not None:
            data["quantization"] = asdict(value.quantization)
        return data
    if isinstance(value, PackedParams):
        return {"prepack": value.prepack, "args": encode(value.args), "engine": value.engine}
    if isinstance(value, NamedConstant):
        return {value.kind: value.name}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": [encode(value.real), encode(value.imag)]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"an argument of type {type(value).__name__} cannot be recorded: {value!r}")


def decode(data: Any) -> Value:  # noqa: ANN401, PLR0911
    """Convert data from ``encode`` back. Raises ValueError for any other data."""
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    if "tensor" in data:
        shape, stride = _integers(data["shape"]), _integers(data["stride"])
        if len(shape) != len(stride):
            raise ValueError(f"{len(shape)} sizes and {len(stride)} strides")
        device, same_as = data.get("device", "cpu"), data.get("same_as")
        requires_grad, pinned, conjugate = (data.get(name, False) for name in ("requires_grad", "pinned", "conjugate"))
        quantization = Quantization(**data["quantization"]) if "quantization" in data else None
        return TensorSpec(
            shape, stride, data["tensor"], device, same_as, requires_grad, pinned, quantization, conjugate
        )
    if "prepack" in data:
        return PackedParams(data["prepack"], decode(data["args"]), data["engine"])
    if len(data) == 1:
        (kind, content), *_ = data.items()
        if kind in ("dtype", "layout", "memory_format", "device"):
            return NamedConstant(kind, content)
        if kind == "float":
            return float(content)
        if kind == "complex":
            return complex(*map(decode, content))
    raise ValueError(f"not an argument that opclock wrote: {data!r}")


def _integers(data: object) -> tuple[int, ...]:
    """Sizes or strides from JSON. Raises ValueError for anything else."""
    if not isinstance(data, list) or not all(type(item) is int and item >= 0 for item in data):
        raise ValueError(f"not sizes or strides: {data!r}")
    return tuple(data)


def placed(value: Value, device: str) -> Value:
    """The value with its tensors on this device. Tensors on HOST stay on the host."""
    if isinstance(value, TensorSpec):
        return replace(value, device="cpu" if value.device == HOST else device)
    return tuple(placed(item, device) for item in value) if isinstance(value, tuple) else value


def tensors(value: Value) -> Iterator[TensorSpec]:
    """Iterate over all tensor specs in a value, depth first."""
    if isinstance(value, TensorSpec):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from tensors(item)


def packed_in(value: Value) -> Iterator[PackedParams]:
    """Iterate over all packed parameters in a value, depth first, but not over those inside others."""
    if isinstance(value, PackedParams):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from packed_in(item)


def unpacked(value: Value) -> Value:
    """The value with what packed parameters are made of in their place."""
    if isinstance(value, PackedParams):
        return unpacked(value.args)
    return tuple(map(unpacked, value)) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class OpCall:
    """One operator with its arguments. This is what is timed, and its ``key`` identifies a measurement."""

    operator: str  # with its namespace: "aten::conv2d"
    overload: str  # "" for the default one
    args: tuple[Value, ...]
    kwargs: tuple[tuple[str, Value], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        data: dict[str, Any] = {"operator": self.operator, "overload": self.overload, "args": encode(self.args)}
        if self.kwargs:
            data["kwargs"] = {name: encode(value) for name, value in self.kwargs}
        return data

    @staticmethod
    def from_json(data: dict[str, Any]) -> OpCall:
        """Rebuild from ``to_json``. Raises KeyError, TypeError or ValueError for any other data."""
        kwargs = tuple((name, decode(value)) for name, value in data.get("kwargs", {}).items())
        return OpCall(data["operator"], data["overload"], decode(data["args"]), kwargs)

    @cached_property
    def key(self) -> str:
        """A text that is equal for equal calls and differs for different ones."""
        return json_text(self.to_json(), sort_keys=True, compact=True)

    @property
    def name(self) -> str:
        """The operator without its namespace: "conv2d"."""
        return self.operator.partition("::")[2]

    def tensors(self) -> tuple[TensorSpec, ...]:
        """The specs of the tensor arguments in order, lists flattened, keyword arguments last."""
        return self._tensors

    @cached_property
    def _tensors(self) -> tuple[TensorSpec, ...]:
        return tuple(tensors((self.args, tuple(value for _, value in self.kwargs))))

    @property
    def expanded_bytes(self) -> int:
        """Bytes of contiguous copies of the expanded arguments, which many kernels make."""
        expanded = (spec for spec in self.tensors() if spec.same_as is None and spec.numel > spec.span)
        return sum(spec.numel * ITEM_BYTES.get(spec.dtype, 4) for spec in expanded)

    @cached_property
    def packed(self) -> tuple[PackedParams, ...]:
        """The packed parameters among the arguments."""
        return tuple(packed_in(self.args))

    def argument(self, position: int, name: str, default: Value = None) -> Value:
        """Look up an argument by its position, or by its name where it was given by keyword."""
        if position < len(self.args):
            return self.args[position]
        return dict(self.kwargs).get(name, default)

    def __str__(self) -> str:
        shown = ", ".join(str(spec) for spec in self.tensors())
        return f"{self.operator}{'.' + self.overload if self.overload else ''}({shown})"
