"""Op calls: an ATen operator with the specs of its arguments, and one canonical key for each."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex64": 8, "complex128": 16,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1,
}  # fmt: skip


@dataclass(frozen=True)
class TensorSpec:
    """What a tensor is, without its values. Strides in elements, as PyTorch has them.

    ``same_as`` is set on an argument that is the very tensor of an earlier argument of its call, given by that one's
    number: ``x * x`` reads half the memory of ``x * y``, and attention to oneself runs another kernel.
    ``requires_grad`` is that of a parameter; PyTorch folds a matmul or not by it, in inference as well. ``pinned`` host
    memory stays where it is, so that a device can copy it by itself.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    device: str = "cpu"
    same_as: int | None = None
    requires_grad: bool = False
    pinned: bool = False

    @cached_property
    def numel(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @cached_property
    def span(self) -> int:
        """Elements of storage from the first to the last one addressed; 0 where there is none."""
        if self.numel == 0:
            return 0
        return 1 + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))

    @property
    def nbytes(self) -> int:
        """Bytes of storage from the first to the last element."""
        return self.span * ITEM_BYTES.get(self.dtype, 4)

    @property
    def moved(self) -> int:
        """Bytes of its own elements: what lies between them is not counted, and an expanded one counts once."""
        return min(self.numel, self.span) * ITEM_BYTES.get(self.dtype, 4)

    def __str__(self) -> str:
        return f"{self.dtype}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class NamedConstant:
    """A PyTorch constant that is known by its name, such as the dtype ``float32``."""

    kind: Literal["dtype", "layout", "memory_format", "device"]
    name: str


HOST = "host"  # a tensor's device, until it is placed: beside whatever device the others are on

# An argument or output: a tensor's spec, a named constant, a plain value, or a tuple of them.
Value = Any


def encode(value: Value) -> Any:  # noqa: ANN401
    """The value as JSON-ready data, without loss."""
    if isinstance(value, TensorSpec):
        data: dict[str, Any] = {"tensor": value.dtype, "shape": list(value.shape), "stride": list(value.stride)}
        if value.device != "cpu":
            data["device"] = value.device
        if value.same_as is not None:
            data["same_as"] = value.same_as
        if value.requires_grad:
            data["requires_grad"] = True
        if value.pinned:
            data["pinned"] = True
        return data
    if isinstance(value, NamedConstant):
        return {value.kind: value.name}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"an argument of type {type(value).__name__} cannot be recorded: {value!r}")


def decode(data: Any) -> Value:  # noqa: ANN401
    """The inverse of encode. Raises ValueError on data that encode never wrote."""
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    if "tensor" in data:
        shape, stride = tuple(data["shape"]), tuple(data["stride"])
        device, same_as = data.get("device", "cpu"), data.get("same_as")
        marks = (data.get(name, False) for name in ("requires_grad", "pinned"))
        return TensorSpec(shape, stride, data["tensor"], device, same_as, *marks)
    if len(data) == 1:
        (kind, content), *_ = data.items()
        if kind in ("dtype", "layout", "memory_format", "device"):
            return NamedConstant(kind, content)
        if kind == "float":
            return float(content)
        if kind == "complex":
            return complex(*content)
    raise ValueError(f"not an argument that opclock wrote: {data!r}")


def placed(value: Value, device: str) -> Value:
    """The value with its tensors on this device; those that are bound to the host, as HOST, stay there."""
    if isinstance(value, TensorSpec):
        return replace(value, device="cpu" if value.device == HOST else device)
    return tuple(placed(item, device) for item in value) if isinstance(value, tuple) else value


def tensors(value: Value) -> Iterator[TensorSpec]:
    """Every tensor spec in a value, depth first."""
    if isinstance(value, TensorSpec):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from tensors(item)


@dataclass(frozen=True)
class OpCall:
    """One operator with its arguments: what is timed, and what a measurement is kept under."""

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
        """Rebuild from to_json. Raises KeyError, TypeError or ValueError on anything else."""
        kwargs = tuple((name, decode(value)) for name, value in data.get("kwargs", {}).items())
        return OpCall(data["operator"], data["overload"], decode(data["args"]), kwargs)

    @cached_property
    def key(self) -> str:
        """The same text for equal calls, another for any that differ."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    @property
    def name(self) -> str:
        """The operator without its namespace: "conv2d"."""
        return self.operator.partition("::")[2]

    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensor arguments' specs, in order, lists flattened, keyword arguments last."""
        return self._tensors

    @cached_property
    def _tensors(self) -> tuple[TensorSpec, ...]:
        return tuple(tensors((self.args, tuple(value for _, value in self.kwargs))))

    def argument(self, position: int, name: str, default: Value = None) -> Value:
        """The argument by its position, or by its name where it was given so."""
        if position < len(self.args):
            return self.args[position]
        return dict(self.kwargs).get(name, default)

    def __str__(self) -> str:
        shown = ", ".join(str(spec) for spec in self.tensors())
        return f"{self.operator}{'.' + self.overload if self.overload else ''}({shown})"
