"""Says in one line that a command crashed: a fault in compiled code, such as of a model, lets no Python run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opclock.errors import ExtensionError
from opclock.extension import load_core

LINE = "in compiled code, perhaps the model's; no result was written. Set PYTHONFAULTHANDLER=1 to see where"


@contextmanager
def crash_line() -> Iterator[None]:
    """Inside the block, a crash of this process writes one line, where the compiled part that does so is built."""
    try:
        set_line = load_core().set_crash_line
    except (ExtensionError, AttributeError):  # not built, or built from an earlier version
        yield
        return
    set_line(LINE)
    try:
        yield
    finally:
        set_line("")
