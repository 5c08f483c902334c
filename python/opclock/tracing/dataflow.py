"""Finds which outputs of op calls become arguments of later op calls. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from opclock.tracing.op_call import TensorSpec, tensors
from opclock.tracing.trace import Trace, TracedCall


@dataclass(frozen=True)
class Feed:
    """A tensor that goes from one op call to another."""

    source: int  # position of the op call that returns it
    output: int  # its number among the returned tensors
    target: int  # position of the op call that takes it
    argument: int  # its number among ``OpCall.tensors()``


def feeds(trace: Trace) -> tuple[Feed, ...]:
    """List every tensor that goes from one op call to another.

    An output is recognised by its storage, shape and strides. Two halves of one tensor thus count as the later one.

    Args:
        trace: the model.

    Returns:
        The tensors, ordered by target.
    """
    latest: dict[tuple[object, ...], tuple[int, int]] = {}
    edges: list[Feed] = []
    for target, traced in enumerate(trace.calls):
        for argument, (number, spec) in enumerate(zip(traced.reads, traced.call.tensors(), strict=True)):
            if _layout(number, spec) in latest:
                source, output = latest[_layout(number, spec)]
                edges.append(Feed(source, output, target, argument))
        for output, (number, spec) in enumerate(_outputs(traced)):
            latest[_layout(number, spec)] = (target, output)
    return tuple(edges)


def _layout(number: int, spec: TensorSpec) -> tuple[object, ...]:
    return number, spec.shape, spec.stride, spec.dtype


def _outputs(traced: TracedCall) -> list[tuple[int, TensorSpec]]:
    """Storage and spec of each returned tensor; empty where the trace does not show the storages."""
    specs = list(tensors(traced.outputs))
    new = [number for number in traced.writes if number not in traced.reads]
    if len(new) == len(specs):
        return list(zip(new, specs, strict=True))
    base = traced.writes[:1] or traced.reads[:1]  # what it changed in place, or what its output is a view of
    return [(base[0], spec) for spec in specs] if base and not new else []
