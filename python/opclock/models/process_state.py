"""Puts back what a model's code changes in its process: folder, command line, signals, timers, filters of warnings.

A model's code cannot end the process either: what ends or replaces it at once raises, as ``sys.exit`` does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGPIPE", "SIGCHLD")  # Windows has the first two
TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")  # they would end the process, or raise anywhere, later
ENDINGS = ("_exit", "execv", "execve")  # of ``os``: no cleaning up, no message, and often exit code 0


class ProcessEnded(SystemExit):
    """A model's code has called what ends or replaces the process at once. Its text names that."""


@contextmanager
def endings_raise() -> Iterator[None]:
    """Inside the block, what ends or replaces this process at once raises ProcessEnded. Children are left alone."""
    process, before = os.getpid(), {name: getattr(os, name) for name in ENDINGS}

    def raising(name: str) -> Callable[..., NoReturn]:
        def end(*arguments: Any) -> NoReturn:  # noqa: ANN401
            if os.getpid() == process:
                raise ProcessEnded(f"os.{name}")
            before[name](*arguments)
            raise AssertionError("the process has ended")

        return end

    for name in ENDINGS:
        setattr(os, name, raising(name))
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(os, name, function)


@contextmanager
def process_kept() -> Iterator[None]:
    """Give folder, command line, handlers of signals, timers and filters of warnings back as before the block."""
    folder = _folder()
    handlers = _handlers()
    line, words, path = sys.argv, [*sys.argv], [*sys.path]
    try:
        with warnings.catch_warnings(), endings_raise():
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
