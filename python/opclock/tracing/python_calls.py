"""Counts the Python functions that a model calls between its op calls: they tell how much the host does there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

# Functions of the recording, and those that PyTorch calls because of it, are not the model's.
OWN = (Path(__file__).parent.as_posix(), "torch/utils/_python_dispatch.py", "torch/_subclasses/", "torch/_library/",
       "torch/_dynamo/", "torch/_compile.py", "torch/compiler/", "<frozen abc>")  # fmt: skip


class PythonCalls:
    """Counts calls of Python functions in this thread."""

    def __init__(self) -> None:
        self._count = 0
        self._own: dict[CodeType, bool] = {}
        self._counts = False

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count inside the block; not where another profiler runs, such as cProfile: Python has room for one."""
        if sys.getprofile() is not None:
            yield
            return
        self._counts = True
        self.go_on()
        try:
            yield
        finally:
            self.pause()
            self._counts = False

    def pause(self) -> None:
        """Count nothing until ``go_on``."""
        if self._counts:
            sys.setprofile(None)

    def go_on(self) -> None:
        """Count again."""
        if self._counts:
            sys.setprofile(self._event)

    def taken(self) -> int:
        """How many were counted since the last time."""
        count, self._count = self._count, 0
        return count

    @property
    def known(self) -> bool:
        """Whether calls are counted now."""
        return self._counts

    def _event(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and not self._is_own(frame.f_code):
            self._count += 1

    def _is_own(self, code: CodeType) -> bool:
        if code not in self._own:
            name = code.co_filename.replace("\\", "/")
            self._own[code] = any(part in name for part in OWN)
        return self._own[code]
