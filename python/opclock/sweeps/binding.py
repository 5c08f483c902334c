"""Completes op calls of a sweep as PyTorch would record them: with outputs and memory, without defaults."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from opclock.errors import OpCallError, first_line
from opclock.extension import load_aten
from opclock.formatting import BYTES, quantity
from opclock.sweeps.configuration import Configuration
from opclock.sweeps.families import IllegalError
from opclock.timing.inputs import Arguments
from opclock.timing.memory_budget import memory_budget_bytes
from opclock.timing.operators import find_operator, named_constant
from opclock.tracing.fake_kernels import FAKE_KERNELS
from opclock.tracing.op_call import HOST, NamedConstant, OpCall, TensorSpec, Value
from opclock.tracing.trace import Storage, StorageKind, Trace, TracedCall

# Without data, PyTorch decomposes these in Python, recurrent ones step by step. Running them on data is faster.
SLOW_WITHOUT_DATA = ("lstm", "gru", "upsample_bilinear2d", "upsample_bicubic2d")


@dataclass(frozen=True)
class Planned:
    """A configuration whose op call PyTorch accepts."""

    configuration: Configuration
    call: OpCall
    outputs: tuple[Value, ...]
    written: tuple[int, ...]  # numbers of the call's tensors that it overwrites
    fresh: int  # bytes of new memory for its outputs

    @property
    def traced(self) -> TracedCall:
        """The call with its outputs. It belongs to no model, so its storages only show whether it writes."""
        return TracedCall(self.call, self.outputs, (), (0,) if self.fresh or self.written else ())

    @cached_property
    def nbytes(self) -> int:
        """Bytes of all its tensors."""
        return sum(spec.nbytes for spec in self.call.tensors()) + self.fresh

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of its weights, which other kernels of the pool displace from the caches."""
        return sum(spec.nbytes for spec in self.call.tensors() if is_weight(spec))


def plan_all(
    configurations: Iterable[Configuration], device: str = "cpu"
) -> tuple[list[Planned], Counter[str]]:  # fmt: skip
    """Plan configurations on a device.

    Args:
        configurations: what to plan.
        device: such as "cpu" or "cuda:0".

    Returns:
        The configurations that PyTorch accepts, one for each op call; and by reason how many it refused.
    """
    planned: dict[str, Planned] = {}
    refused: Counter[str] = Counter()
    for one in configurations:
        try:
            kernel = plan(one.on(device))
        except IllegalError as error:
            refused[str(error)] += 1
        else:
            planned.setdefault(kernel.call.key, kernel)
    return list(planned.values()), refused


def plan(configuration: Configuration) -> Planned:
    """Run the op call, mostly on tensors without data. Raises IllegalError with PyTorch's reason for refusing it."""
    load_aten()  # registers operators
    call = configuration.call
    _check_size(call, sum(spec.nbytes for spec in call.tensors()))
    device = "cpu" if call.name in SLOW_WITHOUT_DATA else "meta"
    try:
        operator = find_operator(call)
        tensors: list[torch.Tensor] = []
        args = tuple(_on_device(value, device, tensors) for value in call.args)
        kwargs = {name: _on_device(value, device, tensors) for name, value in call.kwargs}
        with torch.inference_mode():
            outputs = FAKE_KERNELS.get(call.operator, operator)(*args, **kwargs)
    except (RuntimeError, TypeError, AttributeError, NotImplementedError, IndexError, ValueError, OverflowError,
            MemoryError) as error:  # fmt: skip
        raise IllegalError(f"{call.name}: {first_line(error)}") from error
    inputs = [tensor.untyped_storage()._cdata for tensor in tensors]
    returned = outputs if isinstance(outputs, tuple | list) else (outputs,)
    fresh = sum(
        item.untyped_storage().nbytes()
        for item in returned
        if isinstance(item, torch.Tensor) and item.untyped_storage()._cdata not in inputs
    )
    _check_size(call, sum(spec.nbytes for spec in call.tensors()) + fresh)
    changed = {
        i
        for i, argument in enumerate(operator._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    written = tuple(number for number, tensor in enumerate(tensors) if any(tensor is args[i] for i in changed))
    elsewhere = next((spec.device for spec in call.tensors() if spec.device != "cpu"), "cpu")
    devices = {
        id(tensor): spec.device for tensor, spec in zip(tensors, call.tensors(), strict=True)
    }  # of what it returns
    shown = tuple(
        replace(_spec(item), device=devices.get(id(item), elsewhere))
        for item in returned
        if isinstance(item, torch.Tensor)
    )
    trimmed = OpCall(call.operator, call.overload, _trimmed(operator, call.args), call.kwargs)
    return Planned(configuration, trimmed, shown, written, fresh)


def _check_size(call: OpCall, nbytes: int) -> None:
    """Raise IllegalError for tensors that do not fit into memory together, before any is made."""
    device = next((spec.device for spec in call.tensors() if spec.device not in ("cpu", HOST)), "cpu")
    budget = memory_budget_bytes(device)
    if nbytes > budget:
        raise IllegalError(f"{call.name} takes {quantity(nbytes, BYTES)}, {quantity(budget, BYTES)} may be used: give "
                           "smaller sizes")  # fmt: skip


def _on_device(value: Value, device: str, tensors: list[torch.Tensor]) -> Any:  # noqa: ANN401
    if isinstance(value, TensorSpec):
        dtype = named_constant(NamedConstant("dtype", value.dtype))
        tensors.append(torch.empty_strided(value.shape, value.stride, dtype=dtype, device=device))
        return tensors[-1]
    if isinstance(value, NamedConstant):
        return named_constant(value)
    if isinstance(value, tuple):
        return [_on_device(item, device, tensors) for item in value]
    return value


def _spec(tensor: torch.Tensor) -> TensorSpec:
    return TensorSpec(tuple(tensor.shape), tuple(tensor.stride()), str(tensor.dtype).removeprefix("torch."))


def _trimmed(operator: Any, args: tuple[Value, ...]) -> tuple[Value, ...]:  # noqa: ANN401
    """The arguments without trailing defaults, as PyTorch records a model's call, so that both have the same key."""
    schema = operator._schema.arguments
    count = len(args)
    while count > 0 and schema[count - 1].has_default_value() and _equal(schema[count - 1], args[count - 1]):
        count -= 1
    return args[:count]


def _equal(argument: Any, value: Value) -> bool:  # noqa: ANN401
    default = argument.default_value
    if isinstance(value, tuple) and isinstance(default, int):
        return all(item == default for item in value)
    if isinstance(value, tuple) and isinstance(default, list):
        return list(value) == default
    return bool(type(default) is type(value) and default == value)


def is_weight(spec: TensorSpec) -> bool:
    """Whether a tensor is a weight: a parameter, any tensor with one dimension, or one of int8.

    Other kernels displace weights from the caches. All other tensors are activations, which a model writes just before.
    PyTorch knows no gradient of int8, so that such weights do not show that they are parameters.
    """
    return spec.requires_grad or len(spec.shape) < 2 or spec.dtype == "int8"


def run_once(traced: TracedCall, arguments: Arguments) -> float:
    """Run an op call on real data. Returns its wall seconds. Raises IllegalError with PyTorch's reason for refusing."""
    try:
        bound = arguments.bind(traced)
        with torch.inference_mode():
            start = time.perf_counter()
            find_operator(traced.call)(*bound.args, **bound.kwargs)
            return time.perf_counter() - start
    except (RuntimeError, NotImplementedError, IndexError, OpCallError) as error:
        raise IllegalError(f"{traced.call.name}: {first_line(error)}") from error


def as_trace(planned: Sequence[Planned]) -> Trace:
    """A trace of op calls that are sampled together, as if they were a model."""
    storages: list[Storage] = []
    calls = []
    for position, one in enumerate(planned):
        reads = [_storage(storages, spec, position) for spec in one.call.tensors()]
        writes = [reads[i] for i in one.written]
        if one.fresh:
            storages.append(Storage("activation", one.fresh, position + 1))
            writes.append(len(storages) - 1)
        calls.append(TracedCall(one.call, one.outputs, tuple(reads), tuple(writes)))
    return Trace("sweep", (), 0, 0, tuple(storages), tuple(calls))


def _storage(storages: list[Storage], spec: TensorSpec, position: int) -> int:
    kind: StorageKind = "weight" if is_weight(spec) else "activation"
    storages.append(Storage(kind, spec.nbytes, position + 1))
    return len(storages) - 1
