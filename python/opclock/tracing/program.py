"""Compares the programs of two traces. Needs no torch."""

from __future__ import annotations

from itertools import zip_longest

from opclock.tracing.op_call import tensors
from opclock.tracing.trace import Trace, TracedCall


def first_difference(first: Trace, second: Trace) -> str:
    """Describe the first op call that differs between two traces of a model.

    Op calls are equal if operator, module, and the specs of their arguments and outputs are. Plain numbers may differ.

    Args:
        first: a trace.
        second: another trace of the same model and inputs.

    Returns:
        Text such as "op call 3 is aten::relu in layers.1, then aten::gelu in layers.1"; empty where the programs are
        equal.
    """
    for position, (one, other) in enumerate(zip_longest(first.calls, second.calls)):
        if one is None or other is None or _program(one) != _program(other):
            return f"op call {position} is {_named(one, other)}, then {_named(other, one)}"
    return ""


def _program(traced: TracedCall) -> tuple[object, ...]:
    call = traced.call
    return call.operator, call.overload, tuple(call.tensors()), tuple(tensors(traced.outputs)), traced.module


def _named(traced: TracedCall | None, other: TracedCall | None) -> str:
    """The operator, and what else tells it from the other one."""
    if traced is None:
        return "the end"
    if other is None or traced.call.operator != other.call.operator:
        return f"{traced.call.operator}{_where(traced)}"
    specs = [*traced.call.tensors(), *tensors(traced.outputs)]
    others = [*other.call.tensors(), *tensors(other.outputs)]
    pairs = [(mine, theirs) for mine, theirs in zip_longest(specs, others) if mine != theirs]
    if not pairs or pairs[0][0] is None:
        return f"{traced.call.operator}{_where(traced)}"
    mine, theirs = pairs[0]
    strides = f" with strides {mine.stride}" if str(mine) == str(theirs) else ""
    return f"{traced.call.operator} with {mine}{strides}{_where(traced)}"


def _where(traced: TracedCall) -> str:
    return f" in {traced.module}" if traced.module else ""
