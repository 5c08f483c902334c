"""Binds op calls of a trace to real arguments in the compiled pool, and compares each answer with PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from opclock.board.accelerator import queue_of
from opclock.extension import load_aten
from opclock.profiles.condition import Condition
from opclock.timing.cache_state import inputs, results
from opclock.timing.inputs import Arguments, Bound, Restored
from opclock.timing.verification import check_answer, fault, operator_errors, overwritten
from opclock.tracing.dataflow import feeds
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import Trace, TracedCall

SEEDS = 1 << 64  # the compiled generator's; Python's takes any integer
# In place of an op call that cannot be timed: an empty tensor.
STAND_IN = TracedCall(OpCall("aten::empty", "memory_format", ((0,),)), (TensorSpec((0,), (1,), "float32"),), (), ())
CHECKED = ("in_model", "interleaved", "back_to_back")  # other timings run the same op calls beside one of these


def _runnable(trace: Trace, positions: Sequence[int], arguments: Arguments, *, check: bool) -> Trace:
    """The trace with a stand-in for each op call that does not run on rebuilt arguments."""
    tried: set[str] = set()
    for position in positions if check else ():
        traced = trace.calls[position]
        if traced.call.key in tried:
            continue
        tried.add(traced.call.key)
        bound = arguments.bind(traced)
        if reason := fault(traced.call, bound, _restored(traced, arguments, bound)):
            arguments.unknown[traced.call.key] = f"{traced.call}: {reason}"
    if not arguments.unknown:
        return trace
    calls = (STAND_IN if traced.call.key in arguments.unknown else traced for traced in trace.calls)
    return replace(trace, calls=tuple(calls))


def _restored(traced: TracedCall, arguments: Arguments, bound: Bound) -> list[Restored]:
    """The arguments that an op call changes, each with what restores it."""
    call, specs = traced.call, traced.call.tensors()
    return [(bound.tensors[i], arguments.first(bound.tensors[i], specs[i], call)) for i in overwritten(traced)]


class BoundPool:
    """Op calls of one trace, bound and verified, that are timed together."""

    def __init__(
        self, trace: Trace, positions: Sequence[int], arguments: Arguments, condition: Condition, seed: int
    ) -> None:
        """Bind the op calls at these positions.

        In place of an op call that does not run on rebuilt arguments, one that does nothing keeps the others at their
        positions. ``arguments.unknown`` says why.

        Raises OpCallError where memory is short, or where an answer differs from PyTorch's.
        """
        trace = _runnable(trace, positions, arguments, check=condition.timing in CHECKED)
        self.keys = [trace.calls[position].call.key for position in positions]
        self.groups = {key: group for group, key in enumerate(dict.fromkeys(self.keys))}  # equal calls share samples
        self.calls = [trace.calls[position] for position in positions]
        self.verified_s = 0.0  # wall seconds inside the first runs
        device = queue_of(condition.device)
        self.lane = "host" if device == "cpu" else condition.lane
        with operator_errors(f"on {condition.device}"):
            self.compiled: Any = load_aten().Pool(seed % SEEDS, not condition.in_order, device, self.lane)
        self._add_calls(trace, positions, arguments, condition)
        if condition.in_order:
            self._keep_outputs(trace, positions)

    @property
    def waiting(self) -> list[str]:
        """Keys of the op calls in which the host waits for the device."""
        return sorted({key for key, waits in zip(self.keys, self.compiled.waits, strict=True) if waits})

    def _add_calls(self, trace: Trace, positions: Sequence[int], arguments: Arguments, condition: Condition) -> None:
        bound = {position: arguments.bind(trace.calls[position]) for position in positions}
        rewritten: dict[int, list[torch.Tensor]] = {}
        if queue_of(condition.device) == "cpu":  # on a device, rewriting would enter the queue that is timed
            rewritten = results(trace, bound) if condition.in_order else inputs(trace, bound)
        checked: set[str] = set()
        for position, key in zip(positions, self.keys, strict=True):
            check = condition.timing in CHECKED and key not in checked
            self._add(trace, position, arguments, bound[position], rewritten.get(position, []), check=check)
            checked.add(key)

    def _add(
        self, trace: Trace, position: int, arguments: Arguments, bound: Bound, rewritten: list[torch.Tensor], *,
        check: bool,
    ) -> None:  # fmt: skip
        traced = trace.calls[position]
        call, restored = traced.call, _restored(traced, arguments, bound)
        with operator_errors(call.operator):
            number = self.compiled.add(
                call.operator, call.overload, bound.args, bound.kwargs, self.groups[call.key], rewritten, restored,
                traced.launches,
            )  # fmt: skip
        if check:
            self.verified_s += check_answer(self.compiled, number, call, bound, restored)

    def _keep_outputs(self, trace: Trace, positions: Sequence[int]) -> None:
        """Keep outputs as long as the model does, so that memory is allocated in the same order.

        On a device, outputs become the arguments of later calls, as in the model. A substitute buffer would have to be
        rewritten to be as recent in the caches, and rewriting would enter the queue that is timed.
        """
        number_at = {position: number for number, position in enumerate(positions)}
        freed_at: dict[int, int] = {}
        for position, storages in enumerate(trace.allocations):
            if position in number_at and storages:
                freed_at[position] = max(trace.storages[storage].freed_before for storage in storages)
        if self.lane == "device":
            for feed in feeds(trace):
                self.compiled.feed(number_at[feed.target], feed.argument, number_at[feed.source], feed.output)
                freed_at[feed.source] = max(freed_at.get(feed.source, 0), feed.target + 1)
        for position, freed in freed_at.items():
            last = number_at.get(freed, 0)  # freed after these calls: keep to the end of the round
            if freed > position + 1 and last != number_at[position]:
                self.compiled.hold_outputs(number_at[position], last)
