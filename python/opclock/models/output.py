"""Keeps what a model prints apart from results, and shows it once instead of with every round."""

from __future__ import annotations

import atexit
import ctypes
import io
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO, cast

from opclock.errors import described, raised
from opclock.models.process_state import process_kept

MOST_LINES = 20
NOTE = f"note: the model prints more; each line is shown once, and at most {MOST_LINES} of them"


class _Lines:
    """The lines of a model's output that were shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._seen: set[str] = set()
        self._noted = False

    def show(self, line: str) -> None:
        """Print a new line. Say once that others are left out."""
        if line not in self._seen and len(self._seen) < MOST_LINES:
            self._seen.add(line)
        elif not self._noted:
            self._noted, line = True, NOTE
        else:
            return
        with suppress(OSError, ValueError):  # such as closed
            self._stream.write(line + "\n")
            self._stream.flush()


class _ModelStream(io.TextIOBase):
    """Stands for a standard stream while a model's code runs.

    Attributes:
        behind: the stream that it stands for.
    """

    encoding = "utf-8"

    def __init__(self, behind: TextIO, lines: _Lines) -> None:
        self.behind = behind
        self._lines = lines
        self._unfinished = ""

    def write(self, text: str) -> int:
        """Show the lines that this text finishes. A carriage return ends a line too, as in progress bars."""
        *finished, self._unfinished = re.split(r"[\r\n]", self._unfinished + str(text))
        for line in finished:
            if line.strip():
                self._lines.show(line)
        return len(text)

    def writable(self) -> bool:
        """As of any standard stream."""
        return True

    def fileno(self) -> int:
        """The descriptor behind it, for programs that the model starts."""
        return self.behind.fileno()

    def finish(self) -> None:
        """Show what no line end followed."""
        self.write("\n")


def own_stream(stream: TextIO) -> TextIO:
    """The standard stream for opclock's own words, also while a model's code runs."""
    behind: TextIO = getattr(stream, "behind", stream)
    return behind


@contextmanager
def model_output_apart() -> Iterator[None]:
    """Show on standard error, once, what a model prints inside the block. Nothing of it reaches standard output.

    The process is afterwards as it was, see ``process_kept``.

    Python's streams are filtered. What compiled code prints goes to standard error as it is.
    """
    lines = _Lines(sys.stderr)
    out, err = _ModelStream(sys.stdout, lines), _ModelStream(sys.stderr, lines)
    with (
        process_kept(), _descriptors_apart(), redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err))
    ):  # fmt: skip
        try:
            yield
        finally:
            out.finish()
            err.finish()


@contextmanager
def _descriptors_apart() -> Iterator[None]:
    """Let descriptor 1 lead to standard error inside the block, where both are open. Afterwards both are as before."""
    sys.stdout.flush()
    try:
        kept = {1: os.dup(1), 2: os.dup(2)}
    except OSError:  # the caller has closed one of them
        yield
        return
    os.dup2(2, 1)
    try:
        yield
    finally:
        with suppress(OSError, AttributeError, TypeError):  # Windows has no such handle
            ctypes.CDLL(None).fflush(None)  # what the C library still holds
        for number, copy in kept.items():
            with suppress(OSError):  # the model may have closed the copy
                os.dup2(copy, number)
                os.close(copy)
        _reopen_closed()


def _reopen_closed() -> None:
    """Open Python's standard streams again where the model has closed them."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not None and stream.closed:
            again = os.fdopen(os.dup(number), "w", encoding="utf-8", errors="backslashreplace")
            setattr(sys, name, again)


@contextmanager
def without_log() -> Iterator[None]:
    """Inside the block, libraries log no warning: where something is wrong with a model, opclock's own line says it."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)


def shorten_tracebacks() -> None:
    """From now on, say in one line what a thread or a destructor of a model raises. Python prints a traceback."""

    def thread_ended(end: threading.ExceptHookArgs) -> None:
        if end.exc_value is not None and end.exc_type is not SystemExit:
            _note(f"a thread of the model {raised(end.exc_value)}")

    def unraisable(end: sys.UnraisableHookArgs) -> None:
        if end.exc_value is not None:
            _note(f"{end.err_msg or 'a destructor'}: {described(end.exc_value)}")

    threading.excepthook = thread_ended
    sys.unraisablehook = unraisable


def _note(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # standard error may be closed by now
        sys.stderr.write(f"note: {text}\n")


def leave_threads(code: object) -> None:
    """End the process now where a model has left threads for whose end Python would wait, perhaps for ever."""
    left = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    if left:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
