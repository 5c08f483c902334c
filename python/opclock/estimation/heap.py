"""How many page faults a model's outputs are likely to take in each inference. Needs no torch.

The trace says in which order outputs are allocated and freed. Here the C library's heap is played with them, as glibc
manages it (malloc.c: best fit, neighbours joined, and memory at the end given back above a threshold).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from opclock.tracing.trace import Trace

PAGE = 4096
LEAST_MAPPED, MOST_MAPPED = 128 << 10, 32 << 20  # bytes: from where a block is mapped by itself, at first and at most
TRIM = 2  # times that many bytes, free at the heap's end, are given back
KEPT_AT_END = 128 << 10  # bytes of them that stay
ALIGNMENT = 64  # bytes, of PyTorch's tensors
INFERENCES = 3  # until each is like the one before


class Heap:
    """The addresses of blocks, from 0; memory beyond ``touched`` comes anew.

    Args:
        mapped_above: larger blocks are mapped by themselves, and take all their pages anew.
    """

    def __init__(self, mapped_above: int) -> None:
        self._mapped_above = mapped_above
        self._free: list[tuple[int, int]] = []  # start and end, by address
        self._end = 0  # of the last block
        self._touched = 0
        self.faults = 0

    def allocate(self, nbytes: int) -> tuple[int, int]:
        """Take a block. Returns its start and end."""
        if nbytes > self._mapped_above:
            self.faults += -(-nbytes // PAGE)
            return (-1, -1)
        size = -(-nbytes // ALIGNMENT) * ALIGNMENT + ALIGNMENT
        fitting = [(end - start, start, end) for start, end in self._free if end - start >= size]
        if fitting:
            _, start, end = min(fitting)
            self._free.remove((start, end))
            if end - start > size:
                insort(self._free, (start + size, end))
        else:
            start = self._end
            self._end += size
            self.faults += max(0, -(-self._end // PAGE) - -(-self._touched // PAGE))
            self._touched = max(self._touched, self._end)
        return start, start + size

    def free(self, block: tuple[int, int]) -> None:
        """Give a block back."""
        start, end = block
        if start < 0:
            return
        for near in [one for one in self._free if one[1] == start or one[0] == end]:
            self._free.remove(near)
            start, end = min(start, near[0]), max(end, near[1])
        if end < self._end:
            insort(self._free, (start, end))
            return
        self._end = start
        if self._touched - start > TRIM * self._mapped_above:
            self._touched = start + KEPT_AT_END


def page_faults(trace: Trace) -> int:
    """Of one inference among others.

    Args:
        trace: the model.

    Returns:
        Those of its outputs. What operators allocate for themselves is not known.
    """
    heap, before = Heap(_mapped_above(trace)), 0
    for _ in range(INFERENCES):
        before, blocks = heap.faults, dict[int, tuple[int, int]]()
        for number, taken in _events(trace):
            if taken:
                blocks[number] = heap.allocate(trace.storages[number].nbytes)
            else:
                heap.free(blocks.pop(number))
    return heap.faults - before


def _mapped_above(trace: Trace) -> int:
    """The size up to which blocks are not mapped by themselves: a mapped block that is freed raises it to its size.

    A process that made a model, or read it from a file, has freed blocks as large as its weights. Of 51 models, 25 had
    page faults by their outputs alone but none with this, and two of these really took some.
    """
    outputs = {number for new in trace.allocations for number in new}
    weights = [spec.nbytes for traced in trace.calls for spec in traced.call.tensors() if spec.requires_grad]
    freed = [*(trace.storages[number].nbytes for number in outputs), *(one for one in weights if one <= MOST_MAPPED)]
    return min(MOST_MAPPED, max([LEAST_MAPPED, *freed]))


def _events(trace: Trace) -> Iterator[tuple[int, bool]]:
    """Storages in the order in which they are taken (True) and freed."""
    freed: dict[int, list[int]] = {}
    for position, new in enumerate(trace.allocations):
        yield from ((number, True) for number in new)
        for number in new:
            freed.setdefault(max(position + 1, trace.storages[number].freed_before), []).append(number)
        yield from ((number, False) for number in freed.pop(position + 1, []))
    yield from ((number, False) for numbers in freed.values() for number in numbers)
