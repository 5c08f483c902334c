"""Binds op calls of a trace to real arguments in the compiled pool, and compares each answer with PyTorch's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch

from opclock.board.accelerator import queue_of
from opclock.extension import load_aten
from opclock.profiles.condition import Condition
from opclock.timing.cache_state import fed, fills_a_place, inputs, results
from opclock.timing.inputs import Arguments, Bound, RefusedError, Restored
from opclock.timing.memory_budget import memory_budget_bytes, split
from opclock.timing.verification import check_answer, operator_errors, overwritten, pytorch_answer
from opclock.tracing.dataflow import Feed, feeds
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import Trace, TracedCall

SEEDS = 1 << 64  # the compiled generator's; Python's takes any integer
# In place of an op call that cannot be timed: an empty tensor.
STAND_IN = TracedCall(OpCall("aten::empty", "memory_format", ((0,),)), (TensorSpec((0,), (1,), "float32"),), (), ())
# Other timings run the same op calls beside one of these.
CHECKED = ("in_model", "in_network", "interleaved", "back_to_back")


def refusals(trace: Trace, keys: Collection[str], condition: Condition) -> tuple[str, ...]:
    """Why none of these op calls of a trace runs on rebuilt arguments; empty where one of them does.

    Raises OpCallError where one op call of the trace needs more memory than it may use, before any runs.
    """
    if keys:
        split(trace, memory_budget_bytes(trace.device))
    arguments, pool = Arguments(trace), _new_pool(condition) if keys else None
    for traced in trace.calls:
        if traced.call.key in keys and traced.call.key not in arguments.unknown:
            _verify(pool, traced, arguments)
            if traced.call.key not in arguments.unknown:
                return ()
    return tuple(arguments.unknown.values())


def _new_pool(condition: Condition, seed: int = 0) -> Any:  # noqa: ANN401
    queue = queue_of(condition.device)
    with operator_errors(f"on {condition.device}"):
        return load_aten().Pool(seed % SEEDS, not condition.in_order, queue, _lane_of(condition))


def _lane_of(condition: Condition) -> str:
    return "host" if queue_of(condition.device) == "cpu" else condition.lane


def _verify(pool: Any, traced: TracedCall, arguments: Arguments) -> float:  # noqa: ANN401
    """Run an op call once through PyTorch and once on the timed path. Where it cannot run, note that it is unknown.

    Args:
        pool: a compiled pool, to which the op call is added.
        traced: the op call.
        arguments: of its trace.

    Returns:
        The wall seconds of both runs.

    Raises:
        OpCallError: memory is short, or the answers differ.
    """
    call = traced.call
    try:
        bound = arguments.bind(traced)
        restored = _restored(traced, arguments, bound)
        answer, spent_s = pytorch_answer(call, bound, restored)
        number = _add(pool, traced, bound, restored)
        return spent_s + check_answer(pool, number, call, restored, answer)
    except RefusedError as error:
        arguments.unknown[call.key] = f"{call}: {error}"
        return 0.0


def _with_stand_ins(trace: Trace, unknown: Collection[str]) -> Trace:
    """The trace with a stand-in for each op call with one of these keys."""
    if not unknown:
        return trace
    return replace(trace, calls=tuple(STAND_IN if one.call.key in unknown else one for one in trace.calls))


def _restored(
    traced: TracedCall, arguments: Arguments, bound: Bound, fed_arguments: Collection[int] = ()
) -> list[Restored]:
    """The arguments that an op call changes, each with what restores it. A fed one is new in each round."""
    call, specs = traced.call, traced.call.tensors()
    changed = [i for i in overwritten(traced) if i not in fed_arguments]
    return [(bound.tensors[i], arguments.first(bound.tensors[i], specs[i], call)) for i in changed]


def _feeds(trace: Trace, positions: Sequence[int], condition: Condition) -> Sequence[Feed]:
    """The outputs that become arguments of later op calls. On a device all do, since nothing is rewritten there."""
    if not condition.in_order:
        return []
    if queue_of(condition.device) == "cpu":
        return fed(trace, positions)
    return feeds(trace) if _lane_of(condition) == "device" else []


def _add(
    pool: Any, traced: TracedCall, bound: Bound, restored: Sequence[Restored], *, group: int = 0,  # noqa: ANN401
    rewritten: Sequence[torch.Tensor] = (),
) -> int:  # fmt: skip
    """Add an op call to a compiled pool. Returns its number there."""
    call = traced.call
    with operator_errors(call.operator):
        number: int = pool.add(
            call.operator, call.overload, bound.args, bound.kwargs, group, list(rewritten), list(restored),
            traced.launches,
        )  # fmt: skip
    return number


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
        self.verified_s = 0.0  # wall seconds inside the first runs
        self.lane = _lane_of(condition)
        if condition.timing in CHECKED:
            self._verify_all(trace, positions, arguments, condition)
        trace = _with_stand_ins(trace, arguments.unknown)
        self.keys = [trace.calls[position].call.key for position in positions]
        self.groups = {key: group for group, key in enumerate(dict.fromkeys(self.keys))}  # equal calls share samples
        self.calls = [trace.calls[position] for position in positions]
        self.model = trace.model if len(positions) == len(trace.calls) else ""  # "" for a part of one
        self.compiled: Any = None
        self._compile(trace, positions, arguments, condition, seed)

    def _compile(
        self, trace: Trace, positions: Sequence[int], arguments: Arguments, condition: Condition, seed: int
    ) -> None:
        """Bind the op calls. Where fed values would change the time of a kernel, bind again without these feeds."""
        taken = _feeds(trace, positions, condition)
        while True:
            self.compiled = _new_pool(condition, seed)
            self._add_calls(trace, positions, arguments, condition, taken)
            if condition.in_order:
                self._keep_outputs(trace, positions, taken)
            with operator_errors("the pool"):
                unusual = self.compiled.unusual_feeds() if taken and queue_of(condition.device) == "cpu" else []
            if not unusual:
                return
            left_out = {(positions[number], argument) for number, argument in unusual}
            taken = [feed for feed in taken if (feed.target, feed.argument) not in left_out]

    @property
    def waiting(self) -> list[str]:
        """Keys of the op calls in which the host waits for the device."""
        return sorted({key for key, waits in zip(self.keys, self.compiled.waits, strict=True) if waits})

    def _verify_all(self, trace: Trace, positions: Sequence[int], arguments: Arguments, condition: Condition) -> None:
        """Verify each distinct op call, in a pool of their own."""
        pool, verified = _new_pool(condition), set(arguments.unknown)
        for traced in (trace.calls[position] for position in positions):
            if traced.call.key not in verified:
                verified.add(traced.call.key)
                self.verified_s += _verify(pool, traced, arguments)

    def _add_calls(
        self, trace: Trace, positions: Sequence[int], arguments: Arguments, condition: Condition, taken: Sequence[Feed]
    ) -> None:
        bound = {position: arguments.bind(trace.calls[position]) for position in positions}
        fed_arguments: dict[int, set[int]] = {}  # by position
        rewritten: dict[int, list[torch.Tensor]] = {}
        if queue_of(condition.device) == "cpu":  # on a device, rewriting would enter the queue that is timed
            for feed in taken:
                fed_arguments.setdefault(feed.target, set()).add(feed.argument)
            rewritten = results(trace, bound, fed_arguments) if condition.in_order else inputs(trace, bound)
        for position in positions:
            traced = trace.calls[position]
            taken_here = fed_arguments.get(position, ())
            restored = [] if fills_a_place(trace, traced) else _restored(traced, arguments, bound[position], taken_here)
            _add(
                self.compiled, traced, bound[position], restored,
                group=self.groups[traced.call.key], rewritten=rewritten.get(position, []),
            )  # fmt: skip

    def _keep_outputs(self, trace: Trace, positions: Sequence[int], taken: Sequence[Feed]) -> None:
        """Keep outputs as long as the model does, so that memory is allocated in the same order.

        They become the arguments of later calls, as in the model.
        """
        number_at = {position: number for number, position in enumerate(positions)}
        freed_at: dict[int, int] = {}
        for position, storages in enumerate(trace.allocations):
            if position in number_at and storages:
                freed_at[position] = max(trace.storages[storage].freed_before for storage in storages)
        for feed in taken:
            self.compiled.feed(number_at[feed.target], feed.argument, number_at[feed.source], feed.output)
            freed_at[feed.source] = max(freed_at.get(feed.source, 0), feed.target + 1)
        for position, freed in freed_at.items():
            last = number_at.get(freed, 0)  # freed after these calls: keep to the end of the round
            if freed > position + 1:
                self.compiled.hold_outputs(number_at[position], last)
