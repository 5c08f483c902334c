"""Which storages the tensors of a traced model live in, and how long."""

from __future__ import annotations

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from opclock.tracing.trace import Storage, StorageKind


class Storages:
    """Numbers the storages that tensors live in. Weak references keep an address from being given out twice."""

    def __init__(self) -> None:
        self.known: list[tuple[StorageKind, int]] = []
        self.freed_before: dict[int, int] = {}  # number → the op call before which the model let go of it
        self._numbers: dict[int, int] = {}
        self._alive: dict[int, StorageWeakRef] = {}
        self._expired: list[StorageWeakRef] = []  # kept, so that their addresses stay taken

    def number(self, tensor: torch.Tensor, kind: StorageKind) -> int:
        """The storage's number; a storage never seen before becomes one of this kind."""
        storage = tensor.untyped_storage()
        number = self._numbers.get(storage._cdata)
        if number is None:
            number = self._numbers[storage._cdata] = len(self.known)
            self._alive[number] = StorageWeakRef(storage)
            self.known.append((kind, storage.nbytes()))
        return number

    def closed(self, calls: int) -> tuple[Storage, ...]:
        """All storages; those never freed were alive to the end of the calls."""
        return tuple(
            Storage(kind, nbytes, self.freed_before.get(number, calls))
            for number, (kind, nbytes) in enumerate(self.known)
        )

    def note_freed(self, position: int) -> None:
        """Mark what has been freed since the op call before this one."""
        for number in [number for number, reference in self._alive.items() if reference.expired()]:
            self._expired.append(self._alive.pop(number))
            self.freed_before[number] = position
