"""Which op calls of a trace fit into memory together."""

from __future__ import annotations

from opclock.board.accelerator import free_bytes
from opclock.errors import OpCallError
from opclock.tracing.op_call import TensorSpec
from opclock.tracing.trace import Trace, TracedCall

POOL_MEMORY_SHARE = 0.4  # of the memory that is free: the model itself and its inputs need some, too


def memory_budget_bytes(device: str) -> int:
    """Of the memory that is free on the device, what op calls may use."""
    return int(free_bytes(device) * POOL_MEMORY_SHARE)


def check_fit(trace: Trace) -> None:
    """Raise OpCallError where the op calls do not all fit into memory together, beside the model itself."""
    budget = memory_budget_bytes(trace.device)
    if len(split(trace, budget)) > 1:
        raise OpCallError(
            f"{trace.model} needs more than {budget / 1e9:.1f} GB, the share of the free memory that op calls may use "
            f"on {trace.device}: use a smaller input or batch"
        )


def split(trace: Trace, limit_bytes: int) -> list[range]:
    """Cut a trace into runs of op calls that fit into memory together.

    Args:
        trace: whose op calls are bound.
        limit_bytes: what the arguments of one run may take. Equal activations share a buffer, and a weight has one.

    Returns:
        Positions of the op calls, consecutive runs that cover the trace.

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
    """What identifies the buffers of an op call: a weight's storage and spec, and an activation's spec alone (-1)."""
    return {
        (storage if trace.storages[storage].kind == "weight" else -1, spec)
        for storage, spec in zip(traced.reads, traced.call.tensors(), strict=True)
    }


def _total_bytes(buffers: set[tuple[int, TensorSpec]]) -> int:
    return sum(spec.nbytes for _, spec in buffers)
