"""Models as others published them: op calls with the time of each, and the time of the whole model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from opclock.errors import OpclockError
from opclock.tracing.macs import macs, moved_bytes
from opclock.tracing.op_call import OpCall, TensorSpec, Value
from opclock.tracing.trace import TracedCall


class PublishedDataError(OpclockError):
    """A file is not in the format that its reader knows."""


@dataclass(frozen=True)
class TimedCall:
    """An op call with the time that its publisher measured."""

    traced: TracedCall  # without outputs where only the operator is known
    seconds: float
    times: int = 1  # in one inference


@dataclass(frozen=True)
class PublishedModel:
    """One model on one device."""

    name: str
    calls: tuple[TimedCall, ...]
    whole_s: float
    published_flops: float | None = None

    @property
    def family(self) -> str:
        """The letters that its name begins with: resnet for resnet18 and resnet50_wide."""
        begin = re.match(r"[a-z]+", self.name.lower())
        return begin.group() if begin else self.name

    @property
    def sum_s(self) -> float:
        """Seconds of all its op calls."""
        return sum(call.times * call.seconds for call in self.calls)

    @property
    def described(self) -> bool:
        """Whether the shapes of its op calls are known."""
        return all(call.traced.outputs for call in self.calls)

    @cached_property
    def macs(self) -> float:
        """Of one inference; half the published FLOPs where there are some."""
        if self.published_flops is not None:
            return self.published_flops / 2
        return sum(call.times * macs(call.traced) for call in self.calls if call.traced.outputs)

    @cached_property
    def working_set(self) -> int:
        """Binary digits of the bytes of its weights and of the largest op call, as in ``Condition``."""
        weights = sum(spec.moved for call in self.calls for spec in call.traced.call.tensors() if spec.requires_grad)
        return int(weights + max(moved_bytes(call.traced) for call in self.calls)).bit_length()


@dataclass(frozen=True)
class Device:
    """The models of one device."""

    name: str
    models: tuple[PublishedModel, ...]


def tensor(*shape: int, dtype: str = "float32", weight: bool = False) -> TensorSpec:
    """A row-major tensor. Publishers name no layout."""
    strides = tuple(math.prod(shape[place + 1 :]) for place in range(len(shape)))
    return TensorSpec(tuple(shape), strides, dtype, requires_grad=weight)


def op_call(operator: str, args: Sequence[Value], *outputs: TensorSpec) -> TracedCall:
    """An op call of ATen, with whose names the predictor works."""
    return TracedCall(OpCall(f"aten::{operator}", "", tuple(args)), outputs, (), (0,))


def convolution(
    inner: int, size: int, outer: int, out_size: int, *, kernel: int, stride: int, groups: int
) -> TracedCall:
    """A 2-d convolution of one square image. The padding is the one that gives the output its size."""
    padding = max(0, math.ceil(((out_size - 1) * stride + kernel - size) / 2))
    args = (tensor(1, inner, size, size), tensor(outer, inner // groups, kernel, kernel, weight=True), None,
            (stride, stride), (padding, padding), (1, 1), groups)  # fmt: skip
    return op_call("conv2d", args, tensor(1, outer, out_size, out_size))


def linear(inner: int, outer: int) -> TracedCall:
    """A linear layer on one row."""
    return op_call("linear", (tensor(1, inner), tensor(outer, inner, weight=True)), tensor(1, outer))


def by_family(
    models: Sequence[PublishedModel], folds: int
) -> Iterator[tuple[list[PublishedModel], list[PublishedModel]]]:
    """Leave families out, whole: the models to learn from and those left out, so many times or once a family."""
    sizes: dict[str, int] = {}
    for model in models:
        sizes[model.family] = sizes.get(model.family, 0) + len(model.calls)
    parts: list[list[str]] = [[] for _ in range(min(folds, len(sizes)))]
    for family in sorted(sizes, key=lambda name: (-sizes[name], name)):  # the largest first, into the emptiest part
        min(parts, key=lambda part: sum(sizes[name] for name in part)).append(family)
    for part in parts:
        yield ([model for model in models if model.family not in part],
               [model for model in models if model.family in part])  # fmt: skip
