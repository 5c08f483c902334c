"""Rebuilds the arguments of traced op calls as real tensors with random values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch

from opclock.errors import OpCallError, first_line, is_out_of_memory
from opclock.timing.model_weights import ModelWeights
from opclock.timing.operators import changes_layout, named_constant
from opclock.timing.quantized import new_quantized, packed
from opclock.timing.value_rules import MAX_POOLS, rectified, values_of
from opclock.timing.values import Values, fill
from opclock.timing.weight_memory import WeightMemory, mapped
from opclock.tracing.op_call import NamedConstant, OpCall, PackedParams, TensorSpec, Value
from opclock.tracing.trace import Trace, TracedCall

MIN_MAPPED = 4096  # bytes: a page
BLOCK = 1 << 16  # elements: more than a branch predictor can learn

Restored = tuple[torch.Tensor, torch.Tensor]  # an argument that the call changes, and what restores it


class RefusedError(OpCallError):
    """One op call cannot be rebuilt, or does not run on rebuilt arguments. The others of its model can be timed."""


def refused(error: Exception, call: OpCall) -> OpCallError:
    """What an error while one op call is rebuilt or run means: memory is short, or this op call is refused."""
    if is_out_of_memory(error):
        return OpCallError(f"no memory for {call}: {first_line(error)}; use a smaller input or batch")
    return RefusedError(first_line(error))


@dataclass
class Bound:
    """The real arguments of one op call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: list[torch.Tensor] = field(default_factory=list)  # in the order of OpCall.tensors()
    fixed: set[int] = field(default_factory=set)  # addresses of tensors whose values must stay as they are


def new_tensor(spec: TensorSpec, below: int, memory: WeightMemory | None = None) -> torch.Tensor:
    """Create a tensor with the shape, strides, dtype and device of a spec, and random values.

    Booleans are a run of false and a run of true, as in masks: a random value for each element would make every branch
    on them mispredict.

    Args:
        spec: of the tensor.
        below: integers lie in [0, below).
        memory: for weights of a model; a mapping of its own if None.

    Returns:
        The tensor; floating-point numbers are standard normal.
    """
    if spec.quantization is not None:
        return new_quantized(spec)
    dtype = named_constant(NamedConstant("dtype", spec.dtype))
    storage = _own_memory(spec, dtype, memory)
    if dtype.is_floating_point or dtype.is_complex:
        _fill(storage)
    elif dtype == torch.bool:
        storage.fill_(False)[: spec.span // 2] = True
    else:
        storage.random_(min(below, torch.iinfo(dtype).max))
    tensor = storage.as_strided(spec.shape, spec.stride)
    return tensor.conj() if spec.conjugate else tensor


def _fill(storage: torch.Tensor) -> None:
    """Fill with standard normal values that repeat after each BLOCK, because drawing all of them takes too long."""
    block = _normal_block(storage.dtype).to(storage.device)
    whole = storage.numel() // BLOCK * BLOCK
    storage[:whole].view(-1, BLOCK).copy_(block.expand(whole // BLOCK, BLOCK))
    storage[whole:].copy_(block[: storage.numel() - whole])


@cache
def _normal_block(dtype: torch.dtype) -> torch.Tensor:
    with torch.inference_mode(mode=False):
        return torch.randn(BLOCK, dtype=torch.complex64 if dtype.is_complex else torch.float32).to(dtype)


def _own_memory(spec: TensorSpec, dtype: torch.dtype, memory: WeightMemory | None) -> torch.Tensor:
    """Uninitialised elements; on a CPU outside the C library's heap.

    Only outputs use the C library's heap. In some models the heap grows and shrinks in every inference, which causes
    page faults; other blocks in the heap would change these.
    """
    if spec.device != "cpu" or spec.pinned or spec.nbytes < MIN_MAPPED:
        return torch.empty(spec.span, dtype=dtype, device=spec.device, pin_memory=spec.pinned)
    return mapped(spec.span, dtype) if memory is None else memory.elements(spec.span, dtype)


def new_weight(spec: TensorSpec, below: int, memory: WeightMemory | None = None) -> torch.Tensor:
    """Create a tensor like a model's weight, outside inference mode, with plausible values.

    Matrices and filters are scaled to keep the variance of their input (LeCun et al. 1998, Efficient BackProp), so that
    no gate saturates and produces denormal numbers, which are slow. Vectors are positive, because some are variances.

    Args:
        spec: of the weight.
        below: integers lie in [0, below).
        memory: of the weights of its model; a mapping of its own if None.

    Returns:
        The weight.
    """
    with torch.inference_mode(mode=False):
        tensor = new_tensor(spec, below, memory).detach()  # a view would handle requires_grad differently
        if not tensor.is_floating_point():
            return tensor
        elements = tensor.as_strided((spec.span,), (1,))  # an expanded weight has several indices for one element
        if tensor.dim() > 1 and tensor.numel() > 0:
            elements.mul_((tensor.numel() / tensor.shape[0]) ** -0.5)
        else:
            elements.abs_()
        return tensor.requires_grad_(spec.requires_grad)


class Arguments:
    """Creates arguments for the op calls of one trace, so that together they touch as much memory as the model does.

    Weights are the model's own where it is given. Else each weight storage of the model gets its own buffer, and these
    follow each other. Activations with equal specs
    share a buffer, because the model's allocator would reuse the block; two in one call get two buffers. ``one_block``
    is for op calls that belong to no model: read-only activations share one block for each argument number. A hundred
    calls then touch no more memory than a model would. ``beside`` is for another program of the same model, which has
    the same weights: both share their buffers.
    """

    def __init__(
        self,
        trace: Trace,
        forward: Callable[[], object] | None = None,
        *,
        one_block: bool = False,
        beside: Arguments | None = None,
    ) -> None:
        """See above. ``forward`` calls the model."""
        self._trace = trace
        self.weights = ModelWeights(trace, forward)
        self._one_block = one_block
        self._made: dict[tuple[Any, ...], torch.Tensor] = {} if beside is None else beside._made
        self._weights: WeightMemory = WeightMemory() if beside is None else beside._weights
        self._blocks: dict[tuple[int, str, str, bool], torch.Tensor] = {}
        self._own: set[int] = (
            set() if beside is None else beside._own
        )  # addresses of the tensors with values of their own
        self._rectified = rectified(trace)
        self.unknown: dict[str, str] = {}  # op calls that do not run on rebuilt arguments: key → why

    def bind(self, traced: TracedCall) -> Bound:
        """Create the arguments of an op call of the trace, or reuse those of other calls as described above.

        Raises RefusedError where they cannot be rebuilt, and OpCallError where memory is short.
        """
        try:
            with torch.inference_mode():
                return self._built(traced)
        except Exception as error:  # of many kinds: the trace, this torch and its backends decide
            raise refused(error, traced.call) from error

    def _built(self, traced: TracedCall) -> Bound:
        bound = Bound((), {}, fixed=self._own)
        values = iter(self._values_of(traced))
        reads = iter(traced.reads)
        reshapes = changes_layout(traced.call)
        in_call: dict[TensorSpec, int] = {}

        def build(value: Value) -> Any:  # noqa: ANN401
            if isinstance(value, TensorSpec):
                number, wanted = next(reads), next(values)
                if value.same_as is not None:
                    bound.tensors.append(bound.tensors[value.same_as])
                    return bound.tensors[-1]
                ordinal = in_call[value] = in_call.get(value, -1) + 1
                if self._one_block and wanted is None and self._only_read(value, number, traced):
                    bound.tensors.append(self._block(value, len(bound.tensors)))
                else:
                    bound.tensors.append(self._tensor(value, number, ordinal, wanted))
                if reshapes and number in traced.writes:  # other calls must find their own shape
                    bound.tensors[-1] = bound.tensors[-1].as_strided(value.shape, value.stride)
                return bound.tensors[-1]
            if isinstance(value, PackedParams):
                return packed(value)
            if isinstance(value, NamedConstant):
                return named_constant(value)
            if isinstance(value, tuple):
                return [build(item) for item in value]
            return value

        bound.args = tuple(build(value) for value in traced.call.args)
        bound.kwargs = {name: build(value) for name, value in traced.call.kwargs}
        return bound

    def first(self, tensor: torch.Tensor, spec: TensorSpec, call: OpCall) -> torch.Tensor:
        """What restores the tensor after the call.

        Args:
            tensor: an argument that the call changes.
            spec: of the tensor.
            call: the op call.

        Returns:
            A copy of the first values, which tensors of equal spec share unless they have values of their own. For a
            call that changes shape or strides in place: a view of the tensor's own memory with its first shape and
            strides.
        """
        if changes_layout(call):
            return tensor.as_strided(spec.shape, spec.stride)
        key = ("pristine", spec, tensor.data_ptr() if tensor.data_ptr() in self._own else 0)
        if key not in self._made:
            self._made[key] = tensor.clone()
        return self._made[key]

    def _values_of(self, traced: TracedCall) -> list[Values | None]:
        values = values_of(traced)
        if traced.call.name in MAX_POOLS and traced.reads[0] in self._rectified:
            values[0] = Values("rectified")
        return values

    def _only_read(self, spec: TensorSpec, number: int, traced: TracedCall) -> bool:
        weight = self._trace.storages[number].kind == "weight"
        return not weight and number not in traced.writes and "float" in spec.dtype

    def _block(self, spec: TensorSpec, place: int) -> torch.Tensor:
        """A tensor in the block of its argument number, which has room for the largest one."""
        key = (place, spec.dtype, spec.device, spec.pinned)
        if key not in self._blocks:
            every = (other for traced in self._trace.calls for other in traced.call.tensors())
            span = max(other.span for other in every if (other.dtype, other.device) == (spec.dtype, spec.device))
            whole = TensorSpec((span,), (1,), spec.dtype, spec.device, pinned=spec.pinned)
            self._blocks[key] = new_tensor(whole, 0)
        return self._blocks[key].as_strided(spec.shape, spec.stride)

    def _tensor(self, spec: TensorSpec, number: int, ordinal: int, values: Values | None) -> torch.Tensor:
        weight = self._trace.storages[number].kind == "weight"
        key = ("weight", number, spec, values) if weight else ("activation", ordinal, spec, values)
        if key not in self._made:
            lent = self.weights.tensor(number, spec) if weight else None
            self._made[key] = self._new(spec, weight, values) if lent is None else lent
        return self._made[key]

    def _new(self, spec: TensorSpec, weight: bool, values: Values | None) -> torch.Tensor:
        made = new_weight(spec, 1, self._weights) if weight else new_tensor(spec, 1)
        if values is not None:
            fill(made, values)
            self._own.add(made.data_ptr())
        return made
