"""Keeps what a model prints apart from results, and shows it once instead of with every round."""

from __future__ import annotations

import ctypes
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TextIO, cast

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
        with suppress(OSError):
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

    Python's streams are filtered. What compiled code prints goes to standard error as it is.
    """
    lines = _Lines(sys.stderr)
    out, err = _ModelStream(sys.stdout, lines), _ModelStream(sys.stderr, lines)
    with _descriptor_apart(), redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err)):
        try:
            yield
        finally:
            out.finish()
            err.finish()


@contextmanager
def _descriptor_apart() -> Iterator[None]:
    """Let descriptor 1 lead to standard error inside the block, where both are open."""
    sys.stdout.flush()
    try:
        results = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # the caller has closed one of them
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError, AttributeError, TypeError):  # Windows has no such handle
            ctypes.CDLL(None).fflush(None)  # what the C library still holds
        os.dup2(results, 1)
        os.close(results)
