"""Chooses the buffers to rewrite between op calls, so that inputs are as recent in the caches as in the model."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from opclock.timing.inputs import Bound
from opclock.timing.operators import changes_layout
from opclock.timing.value_rules import values_of
from opclock.tracing.dataflow import Feed, feeds
from opclock.tracing.trace import Trace, TracedCall

# Operators that write a few elements of their first argument, always the same ones with the same values here.
PLACING = ("index_copy_", "index_put_", "scatter_")


def fills_a_place(trace: Trace, traced: TracedCall) -> bool:
    """Whether an op call writes a few elements of memory that stays from run to run, such as a cache of keys.

    The others are as old as the last run: they are neither restored nor rewritten, which would make them recent.
    """
    stays = bool(traced.reads) and trace.storages[traced.reads[0]].kind == "weight"
    return stays and traced.call.name in PLACING and traced.reads[0] in traced.writes


def fed(trace: Trace, positions: Collection[int]) -> list[Feed]:
    """Choose the outputs that become arguments of later op calls, as in the model.

    They are then as old in the caches as in the model, and nothing has to be rewritten. Integers, booleans and what
    needs values of its own are left out: results of random values may be no legal indices.

    Args:
        trace: the model.
        positions: of the op calls that are timed.

    Returns:
        The tensors, ordered by target.
    """
    free = {position: _free_arguments(trace.calls[position]) for position in positions}
    return [feed for feed in feeds(trace) if feed.source in free and feed.argument in free.get(feed.target, ())]


def _free_arguments(traced: TracedCall) -> set[int]:
    """Numbers of the tensor arguments that may have any floating-point values, and keep their shape."""
    if changes_layout(traced.call):
        return set()
    arguments = zip(traced.call.tensors(), values_of(traced), strict=True)
    return {
        number for number, (spec, values) in enumerate(arguments)
        if "float" in spec.dtype and spec.quantization is None and values is None
    }  # fmt: skip


def results(
    trace: Trace, bound: Mapping[int, Bound], taken: Mapping[int, Collection[int]]
) -> dict[int, list[torch.Tensor]]:
    """Choose the buffers that replace the previous call's output where the model reads it later.

    They are rewritten when that call has run, so that every input is as old in the caches as in the model. Views are
    left out because they read no data, and overwritten arguments because they are restored anyway.

    Args:
        trace: the model.
        bound: the arguments of the op calls that are timed, by position.
        taken: by position, numbers of the arguments that are outputs of earlier op calls, and not buffers.

    Returns:
        The buffers to rewrite just before each op call, by position.
    """
    rewritten: dict[int, dict[int, torch.Tensor]] = {}
    writer: dict[int, int] = {}
    for position, traced in enumerate(trace.calls):
        if position in bound and traced.writes:
            for i, number in enumerate(traced.reads):
                tensor = bound[position].tensors[i]
                replaces = number in writer and number not in traced.writes and i not in taken.get(position, ())
                if replaces and _rewritable(tensor):
                    rewritten.setdefault(writer[number], {}).setdefault(tensor.data_ptr(), tensor)
        if not fills_a_place(trace, traced):
            writer.update(dict.fromkeys(traced.writes, position))
    fixed = set[int]().union(*(one.fixed for one in bound.values()))
    return {position + 1: _rewrites(tensors, fixed) for position, tensors in rewritten.items()}


def inputs(trace: Trace, bound: Mapping[int, Bound]) -> dict[int, list[torch.Tensor]]:
    """Choose the activations that each op call reads: a model writes them just before. Args: see ``results``."""
    rewritten: dict[int, list[torch.Tensor]] = {}
    for position, arguments in bound.items():
        traced = trace.calls[position]
        fresh = {
            tensor.data_ptr(): tensor
            for number, tensor in zip(traced.reads, arguments.tensors, strict=True)
            if trace.storages[number].kind != "weight" and number not in traced.writes and _rewritable(tensor)
        }
        rewritten[position] = _rewrites(fresh, arguments.fixed) if traced.writes else []
    return rewritten


def _rewrites(tensors: Mapping[int, torch.Tensor], fixed: set[int]) -> list[torch.Tensor]:
    """The tensors to negate. Those whose values must stay are negated twice."""
    return [tensor for address, tensor in tensors.items() for _ in range(1 + (address in fixed))]


def _rewritable(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and not _overlaps(tensor)


def _overlaps(tensor: torch.Tensor) -> bool:
    return any(stride == 0 and size > 1 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
