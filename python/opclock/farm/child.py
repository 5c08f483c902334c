"""The process in which a board runs one command."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from opclock.board.system import all_cores
from opclock.report.printable import printable

TEXT, ERRORS = "stdout.txt", "stderr.txt"
ENTRY = (sys.executable, "-P", "-m", "opclock.cli.board_command")
MAX_TEXT = 1_000_000  # bytes of output that go back: a model may print without end


class Command:
    """One opclock command in a process group of its own. It ends with this process, however that ends."""

    def __init__(self, words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> None:
        """Start it in a folder, which receives its output. Raises OSError where it cannot start."""
        self._folder = folder
        theirs, ours = os.pipe()
        self._lifeline = os.fdopen(ours, "wb")  # closing it twice, from two threads, is no error
        try:
            with (folder / TEXT).open("wb") as out, (folder / ERRORS).open("wb") as errors, all_cores():
                self._process = subprocess.Popen(
                    [*ENTRY, str(theirs), *words], stdin=subprocess.DEVNULL, stdout=out, stderr=errors, cwd=folder,
                    pass_fds=(theirs,), env={**os.environ, **variables}, start_new_session=True,
                )  # fmt: skip
        except BaseException:
            self._lifeline.close()
            raise
        finally:
            os.close(theirs)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, negative for a signal; None where it has not ended in so many seconds.

        The caller sleeps in the kernel: Python's own wait with a timeout looks 20 times a second.
        """
        if self._process.returncode is None:
            try:
                descriptor = os.pidfd_open(self._process.pid)
            except (AttributeError, OSError):  # a kernel before 5.3
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout_s)
            else:
                try:
                    if not select.select([descriptor], [], [], timeout_s)[0]:
                        return None
                finally:
                    os.close(descriptor)
        return self._process.poll()

    def end(self) -> int:
        """Let it die if it still runs, with all that it has started. Returns its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        self._lifeline.close()
        return code

    @property
    def said_bytes(self) -> int:
        """The length of its standard error: to ask for it costs less than to read that."""
        return (self._folder / ERRORS).stat().st_size

    @property
    def last_words(self) -> str:
        """The last line of its standard error."""
        lines = reversed(said(self._folder / ERRORS).split("\n"))
        return next((line.strip() for line in lines if line.strip()), "")


def said(path: Path) -> str:
    """The end of a file that a command has written its output to; "" where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_TEXT))
        return printable(file.read().decode("utf-8", "replace"))
