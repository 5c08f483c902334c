"""Converts tensors and other arguments to the specs that are recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from opclock.errors import NestedTensorError, TraceError
from opclock.tracing.known_values import MAX_EXACT, KnownValues
from opclock.tracing.op_call import NamedConstant, PackedParams, TensorSpec, Value
from opclock.tracing.packing import parts_of, quantization_of

Item = TypeVar("Item")

# Types without parts: most arguments of operators.
PLAIN = frozenset(
    {int, float, bool, str, complex, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format}
)


def check_layout(tensor: torch.Tensor) -> None:
    """Raise TraceError for a tensor without strides, which cannot be recorded."""
    if tensor.is_nested:
        raise NestedTensorError("a nested tensor cannot be recorded: pad its parts to one length instead")
    if tensor.layout != torch.strided:
        raise TraceError(f"a {tensor.layout} tensor of dtype {tensor.dtype} cannot be recorded: only strided ones can")


def spec_of(tensor: torch.Tensor) -> TensorSpec:
    """The spec of a real or fake tensor. Raises TraceError for layouts without strides."""
    check_layout(tensor)
    return TensorSpec(
        tuple(tensor.shape),
        tuple(tensor.stride()),
        str(tensor.dtype)[6:],
        str(tensor.device),
        requires_grad=tensor.requires_grad,
        quantization=quantization_of(tensor),
        conjugate=tensor.is_conj(),
    )


def value_of(argument: Any, met: list[tuple[Any, ...]] | None = None) -> Value:  # noqa: ANN401
    """Convert an argument or output to what is recorded. ``met`` collects the tensors of one call's arguments."""
    if isinstance(argument, torch.Tensor):
        spec = spec_of(argument)
        if met is None:
            return spec
        identity = (argument.untyped_storage()._cdata, argument.storage_offset(), spec)
        met.append(identity)
        first = met.index(identity)
        return spec if first == len(met) - 1 else replace(spec, same_as=first)
    if isinstance(argument, list | tuple):
        return tuple(value_of(item, met) for item in argument)
    if isinstance(argument, torch.ScriptObject):
        prepack, parts = parts_of(argument)
        return PackedParams(prepack, value_of(parts), torch.backends.quantized.engine)
    if isinstance(argument, torch.dtype | torch.layout | torch.memory_format | torch.device):
        return NamedConstant(type(argument).__name__, str(argument).removeprefix("torch."))  # type: ignore[arg-type]
    if argument is None or isinstance(argument, bool | int | float | str | complex | torch.Generator):
        return None if isinstance(argument, torch.Generator) else argument  # the default generator draws as fast
    raise TraceError(f"an argument of type {type(argument).__name__} cannot be recorded")


def known_values(tensor: torch.Tensor) -> KnownValues | None:
    """The values of a real integer or boolean tensor, or their range; None for other tensors and for large booleans."""
    boolean = tensor.dtype == torch.bool
    integer = boolean or tensor.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if not integer or tensor.layout != torch.strided or not tensor.numel():
        return None
    if tensor.numel() <= MAX_EXACT:
        exact = tuple(int(one) for one in tensor.flatten().tolist())
        return KnownValues(min(exact), max(exact), exact)
    if boolean:
        return None
    low, high = each_once(tensor).aminmax()
    return KnownValues(int(low), int(high))


def each_once(tensor: torch.Tensor) -> torch.Tensor:
    """The part of an expanded tensor that holds each element once; all may be a thousand times as many."""
    return tensor[tuple(slice(0, 1) if step == 0 else slice(None) for step in tensor.stride())]


def flat_tensors(value: Any) -> list[torch.Tensor]:  # noqa: ANN401
    """All tensors in nested lists, tuples and dicts, in order."""
    return [leaf for leaf in leaves(value) if isinstance(leaf, torch.Tensor)]


def leaves(value: Any) -> Iterator[Any]:  # noqa: ANN401
    """What nested containers hold, in order, as ``tree_leaves`` of PyTorch, which takes ten times as long."""
    kind = type(value)
    if kind is tuple or kind is list:
        for item in value:
            yield from leaves(item)
    elif kind is dict:
        for item in value.values():
            yield from leaves(item)
    elif kind in PLAIN or isinstance(value, torch.Tensor):
        yield value
    else:
        yield from tree_leaves(value)


def mapped(kind: type[Item], function: Callable[[Item], Any], value: Any) -> Any:  # noqa: ANN401
    """A value with each part of this kind replaced, as ``tree_map_only``, which takes ten times as long."""
    own = type(value)
    if own is tuple or own is list:
        return own(mapped(kind, function, item) for item in value)
    if own is dict:
        return {name: mapped(kind, function, item) for name, item in value.items()}
    if isinstance(value, kind):
        return function(value)
    return value if own in PLAIN or isinstance(value, torch.Tensor) else tree_map_only(kind, function, value)
