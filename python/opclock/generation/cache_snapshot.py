"""Puts a cache back to its depth between two runs of a decode step, whatever classes it is made of."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch

from opclock.tracing.model_state import reachable

# Elements. Smaller tensors count tokens and are put back. What a step writes into larger ones has the same place and
# about the same values each time, and copying them would leave the caches of the processor in another state.
MAX_COUNTER = 64


class CacheSnapshot:
    """The tensors that a cache holds at one time, and the values of its counters."""

    def __init__(self, cache: Any) -> None:  # noqa: ANN401
        held = list(reachable(cache))
        self._dicts = [(one, dict(one)) for one in held if isinstance(one, dict)]
        self._lists = [(one, list(one)) for one in held if isinstance(one, list | deque)]
        tensors = [one for one in held if isinstance(one, torch.Tensor)]
        self._counters = [(one, one.clone()) for one in tensors if one.numel() <= MAX_COUNTER and not _floats(one)]
        self._tensors = tensors

    def restore(self) -> None:
        """Put everything back."""
        for mapping, before in self._dicts:
            mapping.clear()
            mapping.update(before)
        for items, kept in self._lists:
            items.clear()
            items.extend(kept)
        for counter, value in self._counters:
            counter.copy_(value)

    @property
    def nbytes(self) -> int:
        """Bytes of the cache's tensors, each storage once."""
        storages = {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in self._tensors}
        return sum(storages.values())


def _floats(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
