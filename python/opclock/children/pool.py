"""Child processes of one kind that serve requests in turn."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from opclock.children.process import ChildProcess, RuntimeFailedError

Child = TypeVar("Child", bound=ChildProcess)


class ChildPool(Generic[Child]):
    """So many child processes, each of which starts when it is first needed, and again after it has failed."""

    def __init__(self, start: Callable[[], Child], count: int) -> None:
        """Prepare.

        Args:
            start: starts a child.
            count: how many there are at the same time.
        """
        self._start, self._count = start, count
        self._free: queue.SimpleQueue[Child | None] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        self._running: set[Child] = set()
        self._closing = False

    @contextmanager
    def child(self) -> Iterator[Child]:
        """Wait for a free child, and have it inside the block. One that raises RuntimeFailedError there is closed."""
        child = self._free.get()
        try:
            if self._closing:
                raise RuntimeFailedError("its processes are ending")
            if child is None:
                child = self._start()
                self._running.add(child)
            yield child
        except RuntimeFailedError:
            if child is not None:
                self._running.discard(child)
                child.close()
                child = None
            raise
        finally:
            self._free.put(child)

    def close(self) -> None:
        """End all children. Whoever waits for one gets RuntimeFailedError."""
        self._closing = True
        for child in list(self._running):
            child.kill()
        for _ in range(self._count):
            if (ended := self._free.get()) is not None:
                ended.close()
        for _ in range(self._count):  # for those who still wait
            self._free.put(None)
