"""Lets a command clean up when it is told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last


class EndedBySignal(KeyboardInterrupt):
    """The command was told to end. Children and temporary folders go.

    Attributes:
        code: the exit code, as in shells.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


@contextmanager
def end_by_signals() -> Iterator[None]:
    """Inside the block, Ctrl-C, SIGTERM and SIGHUP raise EndedBySignal.

    A second one is handled as before the block; a second Ctrl-C ends the process, as a model may catch the first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGINT else before[number])
        raise EndedBySignal(number)

    numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    # nohup ignores SIGHUP; and a handler that was not set from Python (None) could not be put back
    before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
