"""Records which storages a traced model uses, and when they are freed."""

from __future__ import annotations

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from opclock.tracing.trace import Storage, StorageKind


def wraps(tensor: object) -> bool:
    """Whether a tensor is of a subclass that calls operators on the tensors that it wraps."""
    return is_traceable_wrapper_subclass(tensor)


def own_tensors(model: torch.nn.Module) -> list[torch.Tensor]:
    """A model's parameters and buffers that have a storage of their own, in the order in which these are numbered."""
    return [tensor for tensor in (*model.parameters(), *model.buffers()) if not wraps(tensor)]


class Storages:
    """Numbers the storages of tensors. Weak references prevent that an address is used twice."""

    def __init__(self) -> None:
        self.known: list[tuple[StorageKind, int]] = []
        self.freed_before: dict[int, int] = {}  # number → the op call before which it was freed
        self._numbers: dict[int, int] = {}
        self._alive: dict[int, StorageWeakRef] = {}
        self._kept: list[StorageWeakRef] = []  # so that their addresses stay taken

    def number(self, tensor: torch.Tensor, kind: StorageKind, *, stays: bool = False) -> int:
        """The number of a tensor's storage. A new storage gets this kind; one that ``stays`` is not watched."""
        storage = tensor.untyped_storage()
        number = self._numbers.get(storage._cdata)
        if number is None:
            number = self._numbers[storage._cdata] = len(self.known)
            if stays:
                self._kept.append(StorageWeakRef(storage))
            else:
                self._alive[number] = StorageWeakRef(storage)
            self.known.append((kind, storage.nbytes()))
        return number

    def alias(self, tensor: torch.Tensor, number: int) -> None:
        """Give a tensor's storage the number of another, for which it stands."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._numbers:
            self._numbers[storage._cdata] = number
            self._kept.append(StorageWeakRef(storage))

    def closed(self, calls: int) -> tuple[Storage, ...]:
        """All storages. Those that were never freed count as freed after the last call."""
        return tuple(
            Storage(kind, nbytes, self.freed_before.get(number, calls))
            for number, (kind, nbytes) in enumerate(self.known)
        )

    def note_freed(self, position: int) -> None:
        """Record which storages were freed since the previous op call."""
        for number in [number for number, reference in self._alive.items() if reference.expired()]:
            self._kept.append(self._alive.pop(number))
            self.freed_before[number] = position
