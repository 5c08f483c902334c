"""Converts a trace to another device or dtype. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from opclock.tracing.op_call import ITEM_BYTES, NamedConstant, OpCall, TensorSpec, Value, tensors
from opclock.tracing.trace import Trace, TracedCall


@dataclass(frozen=True)
class _Move:
    """A change of device and dtype."""

    old_device: str
    device: str
    old_dtype: str
    dtype: str

    def value(self, value: Value) -> Value:
        """Convert an argument or output: tensors and constants with the old device or dtype."""
        if isinstance(value, TensorSpec):
            return replace(
                value,
                device=self.device if value.device == self.old_device else value.device,
                dtype=self.dtype if value.dtype == self.old_dtype else value.dtype,
            )
        if isinstance(value, NamedConstant):
            moved = {("device", self.old_device): self.device, ("dtype", self.old_dtype): self.dtype}
            return replace(value, name=moved.get((value.kind, value.name), value.name))
        return tuple(self.value(item) for item in value) if isinstance(value, tuple) else value

    def call(self, traced: TracedCall) -> TracedCall:
        """Convert an op call with its outputs."""
        call = traced.call
        kwargs = tuple((name, self.value(value)) for name, value in call.kwargs)
        moved = OpCall(call.operator, call.overload, self.value(call.args), kwargs)
        return replace(traced, call=moved, outputs=self.value(traced.outputs))


def place(trace: Trace, device: str, dtype: str) -> Trace:
    """Convert a trace to another device and floating-point dtype.

    Tensors on ``trace.device`` and numbers of ``trace.dtype`` change; others, such as indices, stay. The result is the
    trace that the model would give there, unless its Python asks for the device or the dtype.

    Args:
        trace: the model, traced on any device.
        device: with its number, as PyTorch names it: "cpu", "cuda:0".
        dtype: "float32", "float16", "bfloat16" or "float64".

    Returns:
        The converted trace; the same object where nothing changes.
    """
    if (device, dtype) == (trace.device, trace.dtype):
        return trace
    move = _Move(trace.device, device, trace.dtype, dtype)
    resized = _storages_of(trace, trace.dtype) if dtype != trace.dtype else set()
    before, after = ITEM_BYTES.get(trace.dtype, 4), ITEM_BYTES.get(dtype, 4)
    return replace(
        trace,
        inputs=move.value(trace.inputs),
        storages=tuple(
            replace(storage, nbytes=storage.nbytes * after // before) if number in resized else storage
            for number, storage in enumerate(trace.storages)
        ),
        calls=tuple(move.call(traced) for traced in trace.calls),
    )


def _storages_of(trace: Trace, dtype: str) -> set[int]:
    """The storages that hold numbers of this dtype."""
    numbers: set[int] = set()
    for traced in trace.calls:
        read = zip(traced.reads, traced.call.tensors(), strict=False)
        numbers |= {number for number, spec in read if spec.dtype == dtype}
        if any(spec.dtype == dtype for spec in tensors(traced.outputs)):
            numbers |= set(traced.writes) - set(traced.reads)
    return numbers
