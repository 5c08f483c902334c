"""Computes which op calls of a trace fit into memory together."""

from __future__ import annotations

from opclock.board.accelerator import free_bytes
from opclock.errors import OpCallError
from opclock.tracing.op_call import TensorSpec
from opclock.tracing.trace import Trace, TracedCall

POOL_MEMORY_SHARE = 0.4  # fraction of the free memory: the model and its inputs also need some


def memory_budget_bytes(device: str) -> int:
    """Bytes of free memory on the device that op calls may use."""
    return int(free_bytes(device) * POOL_MEMORY_SHARE)


def check_fit(trace: Trace) -> None:
    """Raise OpCallError where the op calls of a trace do not all fit into memory, together with the model."""
    budget = memory_budget_bytes(trace.device)
    if len(split(trace, budget)) > 1:
        raise OpCallError(
            f"{trace.model} needs more than {budget / 1e9:.1f} GB, the share of the free memory that op calls may use "
            f"on {trace.device}: use a smaller input or batch"
        )


def split(trace: Trace, limit_bytes: int) -> list[range]:
    """Cut a trace into parts whose op calls fit into memory together.

    Args:
        trace: the model.
        limit_bytes: bytes that the arguments of one part may take. Equal activations share a buffer, and each weight
            has one.

    Returns:
        Ranges of positions, in order, that together cover the trace.

    Raises:
        OpCallError: a single op call does not fit.
    """
    runs: list[range] = []
    first, used_bytes = 0, 0
    bound: set[tuple[int, TensorSpec]] = set()
    for position, traced in enumerate(trace.calls):
        needed = _buffers(trace, traced)
        alone_bytes = _total_bytes(needed)
        if alone_bytes > limit_bytes:
            raise OpCallError(f"{traced.call} needs {alone_bytes / 1e6:.0f} MB, {limit_bytes / 1e6:.0f} MB may be "
                              "used: use a smaller input or batch")  # fmt: skip
        added_bytes = _total_bytes(needed - bound)
        if used_bytes + added_bytes > limit_bytes:
            runs.append(range(first, position))
            first, used_bytes, added_bytes = position, 0, alone_bytes
            bound = set()
        used_bytes += added_bytes
        bound |= needed
    runs.append(range(first, len(trace.calls)))
    return runs


def _buffers(trace: Trace, traced: TracedCall) -> set[tuple[int, TensorSpec]]:
    """The buffers of an op call, identified by storage and spec for weights, and by -1 and spec for activations."""
    return {
        (storage if trace.storages[storage].kind == "weight" else -1, spec)
        for storage, spec in zip(traced.reads, traced.call.tensors(), strict=True)
    }


def _total_bytes(buffers: set[tuple[int, TensorSpec]]) -> int:
    return sum(spec.nbytes for _, spec in buffers)
