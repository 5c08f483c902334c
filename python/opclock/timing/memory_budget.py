"""Computes which op calls of a trace fit into memory together."""

from __future__ import annotations

from collections import Counter

from opclock.board.accelerator import free_bytes
from opclock.errors import OpCallError
from opclock.formatting import BYTES, quantity
from opclock.tracing.op_call import TensorSpec
from opclock.tracing.trace import Trace, TracedCall

POOL_MEMORY_SHARE = 0.4  # fraction of the free memory: the model and its inputs also need some


def memory_budget_bytes(device: str) -> int:
    """Bytes of free memory on the device that op calls may use."""
    return int(free_bytes(device) * POOL_MEMORY_SHARE)


def check_fit(trace: Trace, copies: int = 1) -> None:
    """Raise OpCallError where the op calls of a trace do not all fit into memory so many times, and the model."""
    budget = memory_budget_bytes(trace.device) // copies
    if len(split(trace, budget)) > 1:
        raise OpCallError(
            f"{trace.model} needs more than {budget / 1e9:.1f} GB, the share of the free memory that op calls may use "
            f"on {trace.device}: use a smaller input or batch"
        )


def check_run(trace: Trace) -> None:
    """Raise OpCallError where one inference of the model needs more memory than is free. Its weights are there."""
    free = free_bytes(trace.device)
    if trace.run_bytes > free:
        raise OpCallError(
            f"a run of {trace.model} needs {quantity(trace.run_bytes, BYTES)} for its activations, "
            f"{quantity(free, BYTES)} are free on {trace.device}: use a smaller input or batch"
        )


def split(trace: Trace, limit_bytes: int) -> list[range]:
    """Cut a trace into parts whose op calls fit into memory together.

    Args:
        trace: the model.
        limit_bytes: bytes that one part may take: its arguments, where equal activations share a buffer and each
            weight has one; copies of those that are overwritten; outputs as long as the model keeps them; and the
            copies that kernels may make of expanded arguments.

    Returns:
        Ranges of positions, in order, that together cover the trace.

    Raises:
        OpCallError: a single op call does not fit.
    """
    runs: list[range] = []
    part = _Part()
    first = 0
    for position in range(len(trace.calls)):
        alone = _Part()
        alone.add(trace, position)
        if alone.nbytes > limit_bytes:
            raise OpCallError(f"{trace.calls[position].call} needs {quantity(alone.nbytes, BYTES)}, "
                              f"{quantity(limit_bytes, BYTES)} may be used: use a smaller input or batch")  # fmt: skip
        part.add(trace, position)
        if part.nbytes > limit_bytes:
            runs.append(range(first, position))
            first, part = position, alone
    runs.append(range(first, len(trace.calls)))
    return runs


class _Part:
    """The memory of op calls in a row: buffers of arguments and copies to restore them from, and outputs."""

    def __init__(self) -> None:
        self._buffers: set[tuple[str, int, TensorSpec]] = set()
        self._buffer_bytes = 0
        self._outputs: dict[int, int] = {}  # bytes by storage, as long as the model keeps them
        self._peak_bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers, which stay, and of outputs and copies where they are most."""
        return self._buffer_bytes + self._peak_bytes

    def add(self, trace: Trace, position: int) -> None:
        """Count the next op call."""
        new = _buffers(trace, trace.calls[position]) - self._buffers
        self._buffers |= new
        self._buffer_bytes += sum(spec.nbytes for _, _, spec in new)
        kept = {one: nbytes for one, nbytes in self._outputs.items() if trace.storages[one].freed_before > position}
        self._outputs = kept | {one: trace.storages[one].nbytes for one in trace.allocations[position]}
        copies = trace.calls[position].call.expanded_bytes if trace.calls[position].launches else 0
        self._peak_bytes = max(self._peak_bytes, sum(self._outputs.values()) + copies)


def _buffers(trace: Trace, traced: TracedCall) -> set[tuple[str, int, TensorSpec]]:
    """The buffers of an op call, named as ``Arguments`` shares them: weights by storage, activations by spec."""
    buffers: set[tuple[str, int, TensorSpec]] = set()
    in_call: Counter[TensorSpec] = Counter()
    for storage, spec in zip(traced.reads, traced.call.tensors(), strict=True):
        if spec.same_as is not None:
            continue
        weight = trace.storages[storage].kind == "weight"
        buffers.add(("weight", storage, spec) if weight else ("activation", in_call[spec], spec))
        in_call[spec] += 1
        if storage in traced.writes:
            buffers.add(("pristine", 0, spec))
    return buffers
