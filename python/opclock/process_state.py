"""Puts back what a model's code changes in its process: folder, command line, signals, timers, filters of warnings."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGPIPE", "SIGCHLD")  # Windows has the first two
TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")  # they would end the process, or raise anywhere, later


@contextmanager
def process_kept() -> Iterator[None]:
    """Give folder, command line, handlers of signals, timers and filters of warnings back as before the block."""
    folder = _folder()
    handlers = _handlers()
    line, words, path = sys.argv, [*sys.argv], [*sys.path]
    try:
        with warnings.catch_warnings():
            yield
    finally:
        sys.argv = line
        sys.argv[:] = words
        sys.path += [place for place in path if place not in sys.path]  # what the model has added stays
        if folder is not None and _folder() != folder:
            with suppress(OSError):
                os.chdir(folder)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        for timer in [getattr(signal, name) for name in TIMERS if handlers and hasattr(signal, name)]:
            if signal.getitimer(timer)[0]:
                signal.setitimer(timer, 0)


def _folder() -> str | None:
    """The current folder; None where it was removed."""
    try:
        return os.getcwd()  # noqa: PTH109 - a path without its links would be another text
    except OSError:
        return None


def _handlers() -> dict[int, Any]:
    """The handlers of signals that can be put back: only the main thread may, and only those that Python knows."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    handlers = {number: signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in handlers.items() if handler is not None}
