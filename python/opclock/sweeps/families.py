"""Kernel families: named functions that make an op call from parameters."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args, get_origin, get_type_hints

from opclock.argument_checks import shown
from opclock.errors import SweepError
from opclock.tracing.op_call import ITEM_BYTES, OpCall, TensorSpec, Value

# A parameter's value: a number, a text, true or false, or a size with a number for each dimension.
Parameter = int | float | str | bool | tuple[int, ...]


# The types of parameters in words, each with examples.
KIND_NAMES: dict[type, str] = {
    int: "whole numbers, such as 64 or 8:64:8", float: "a number", str: "a name", bool: "true or false",
    tuple: "a size, such as 1x7",
}  # fmt: skip


class IllegalError(ValueError):
    """A combination of parameters for which there is no op call. The message is the reason."""


@dataclass(frozen=True)
class Family:
    """A named generator of op calls."""

    name: str
    make: Callable[..., OpCall]

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Defaults by parameter; ``inspect.Parameter.empty`` where there is none."""
        return {name: parameter.default for name, parameter in inspect.signature(self.make).parameters.items()}

    @property
    def required(self) -> list[str]:
        """The parameters without a default."""
        return [name for name, default in self.parameters.items() if default is inspect.Parameter.empty]

    def check(self, values: Mapping[str, Parameter]) -> None:
        """Raise IllegalError for a value of the wrong type, such as a text where a number is needed."""
        hints = get_type_hints(self.make)
        for name, value in values.items():
            wanted = tuple(get_origin(kind) or kind for kind in (get_args(hints[name]) or (hints[name],)))
            accepted = (*wanted, int) if float in wanted else wanted
            if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in wanted):
                text = value if isinstance(value, str | int | float | tuple) else shown(value)
                kinds = " or ".join(KIND_NAMES.get(kind, kind.__name__) for kind in wanted)
                raise IllegalError(f"--{name.replace('_', '-')} {text}: give {kinds}")

    @property
    def summary(self) -> str:
        """The first line of the generator's docstring."""
        return (inspect.getdoc(self.make) or self.name).splitlines()[0]


FAMILIES: dict[str, Family] = {}


def family(make: Callable[..., OpCall]) -> Callable[..., OpCall]:
    """Register a generator of op calls under its own name.

    The generator need not check what PyTorch itself refuses.

    Args:
        make: takes keyword arguments and returns an OpCall of ``tensor``, ``weight`` and plain values. It raises
            IllegalError, with the reason, for an impossible combination. The first line of its docstring is shown
            to users.

    Returns:
        The generator, unchanged.

    Raises:
        SweepError: it is no function with a name.
    """
    if not callable(make) or not hasattr(make, "__name__"):
        raise SweepError(f"family {make!r} is no function; write @opclock.family above one that makes an op call")
    FAMILIES[make.__name__] = Family(make.__name__, make)
    return make


def find_family(name: str) -> Family:
    """Find a family by its name. Raises SweepError, which lists all families, where there is none."""
    if name not in FAMILIES:
        raise SweepError(f"there is no kernel family '{name}'; there are: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def need(condition: bool, reason: str) -> None:
    """Raise IllegalError with this reason unless the condition holds."""
    if not condition:
        raise IllegalError(reason)


def contiguous(shape: Iterable[int]) -> tuple[int, ...]:
    """The strides, in elements, of a row-major tensor without gaps."""
    sizes = tuple(shape)
    return tuple(math.prod(sizes[i + 1 :]) for i in range(len(sizes)))


def tensor(*shape: int, dtype: str = "float32", memory_format: str = "contiguous") -> TensorSpec:
    """Make the spec of an activation, which is written just before the call, as in a model.

    Args:
        shape: sizes of at least two dimensions.
        dtype: such as "float32".
        memory_format: "contiguous" or "channels_last".

    Returns:
        The spec.

    Raises:
        IllegalError: an unknown dtype or memory format, or an empty tensor.
    """
    need(dtype in ITEM_BYTES, f"there is no dtype '{dtype}'; there are: {', '.join(ITEM_BYTES)}")
    need(all(size > 0 for size in shape), f"a tensor of {'x'.join(map(str, shape))} elements")
    if memory_format == "channels_last":
        need(len(shape) == 4, "channels_last is for four dimensions")
        _, channels, height, width = shape
        return TensorSpec(shape, (height * width * channels, 1, width * channels, channels), dtype)
    need(memory_format == "contiguous", f"memory_format '{memory_format}': contiguous or channels_last")
    return TensorSpec(shape, contiguous(shape), dtype)


def weight(*shape: int, dtype: str = "float32", memory_format: str = "contiguous") -> TensorSpec:
    """Make the spec of a parameter, which other kernels displace from the caches. Args, Raises: see ``tensor``."""
    spec = tensor(*shape, dtype=dtype, memory_format=memory_format)
    return replace(spec, requires_grad="float" in dtype)


def transposed(spec: TensorSpec) -> TensorSpec:
    """A view of a tensor with the last two dimensions swapped."""
    *batch, rows, columns = spec.shape
    *steps, down, across = spec.stride
    return replace(spec, shape=(*batch, columns, rows), stride=(*steps, across, down))


def pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Convert one number or two to height and width. Raises IllegalError for another count."""
    if isinstance(value, tuple):
        need(len(value) == 2, f"{value}: height and width are needed")
        return value[0], value[1]
    return value, value


def aten(operator: str, *args: Value, **kwargs: Value) -> OpCall:
    """Make an op call of a PyTorch operator: ``aten("add.Tensor", ...)``."""
    name, _, overload = operator.partition(".")
    return OpCall(f"aten::{name}", overload, args, tuple(kwargs.items()))
