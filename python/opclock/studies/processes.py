"""How many processes of each kind take turns in a study."""

from __future__ import annotations

from opclock.board.memory import free_memory_bytes

PROCESSES = 3  # with two, the interval is ten times as wide as they lie apart
PROCESS_BYTES = 500 << 20  # of one with PyTorch and the largest of the ten published models


def usual_processes(free_bytes: int | None = None) -> int:
    """Three for the kernels and three for the model; one for both where memory is too short for that.

    Args:
        free_bytes: of memory; what is free now if None.

    Returns:
        The ``processes`` of ``opclock.validate``.
    """
    free_bytes = free_memory_bytes() if free_bytes is None else free_bytes
    return PROCESSES if free_bytes >= 2 * PROCESSES * PROCESS_BYTES else 1
