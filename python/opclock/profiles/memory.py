"""Remembers what was computed from a profile, until the file changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memory:
    """What was computed in one state of a file."""

    def __init__(self) -> None:
        self._values: dict[Hashable, Any] = {}
        self._state: object = None

    def remembered(self, state: object, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returned for this key in this state of the file; it is called where that is not known."""
        if state != self._state:
            self._values.clear()
            self._state = state
        if key not in self._values:
            self._values[key] = make()
        value: T = self._values[key]
        return value
