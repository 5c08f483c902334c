"""Memory for a pool's weights, where a model has its own."""

from __future__ import annotations

import mmap

import torch

from opclock.estimation.heap import MOST_MAPPED

BEHIND_PAGE = 64  # bytes: PyTorch's large blocks begin there, and products with weights take 1 to 4 % longer at 0
ALIGNMENT = 64  # bytes, of PyTorch's blocks
HEADER = 16  # bytes before a block of the C library's heap
AT_ONCE = 2 * MOST_MAPPED  # bytes of address space; memory is taken where it is written


def mapped(count: int, dtype: torch.dtype) -> torch.Tensor:
    """So many elements in a memory mapping of their own, uninitialised."""
    mapping = mmap.mmap(-1, BEHIND_PAGE + count * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(mapping, dtype=dtype, count=count, offset=BEHIND_PAGE)


class WeightMemory:
    """Blocks one after the other, as a model has its weights in the C library's heap; the largest are mapped apart.

    Products with weights of 1 MB took 1 to 6 % longer than in two language models where each weight was mapped apart.
    Where they follow each other it was -5 to +2 %, of one of the two (``docs/language-models.md``).
    """

    def __init__(self) -> None:
        self._mapping: mmap.mmap | None = None
        self._used = 0  # bytes of it

    def elements(self, count: int, dtype: torch.dtype) -> torch.Tensor:
        """So many elements, uninitialised. The memory lives as long as a tensor in it does."""
        nbytes = count * dtype.itemsize
        if nbytes >= MOST_MAPPED:
            return mapped(count, dtype)
        if self._mapping is None or self._used + nbytes > AT_ONCE:
            self._mapping = mmap.mmap(-1, AT_ONCE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._used = BEHIND_PAGE
        block = torch.frombuffer(self._mapping, dtype=dtype, count=count, offset=self._used)
        self._used += -(-(nbytes + HEADER) // ALIGNMENT) * ALIGNMENT
        return block
