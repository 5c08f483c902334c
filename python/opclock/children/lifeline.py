"""Ends a worker with its parent, however the parent ends.

The parent holds one end of a pipe, its worker the other. When the parent ends, the kernel closes the pipe, and on Linux
kills the worker's process group by itself. A thread that waits for the end of the requests does the same elsewhere, but
it cannot run while a converter holds Python's lock.
"""

from __future__ import annotations

import os
import signal
import sys

F_SETSIG = 10  # <fcntl.h>: which signal reports a change of a pipe; Python's fcntl lacks it on old versions


def end_with_parent(pipe: int) -> None:
    """Have the kernel kill this process group when the pipe's other end is closed. Elsewhere than on Linux, do nothing.

    Args:
        pipe: the descriptor of the reading end. Nothing must ever be written into the other end.
    """
    if sys.platform != "linux":
        return
    import fcntl

    fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(pipe, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
