"""What a function or a command prints, on a terminal and through a pipe."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import redirect_stdout

from helpers import Screen

WIDTHS = (80, 100, 120)


def on_screen(act, *arguments):
    """The lines that a function prints on a terminal."""
    with redirect_stdout(Screen()) as screen:
        act(*arguments)
    return re.sub(r"\x1b\[\d*m", "", screen.getvalue()).splitlines()


def piped(act, *arguments):
    """What a function prints through a pipe."""
    with redirect_stdout(io.StringIO()) as pipe:
        act(*arguments)
    return pipe.getvalue()


def on_pty(width, *arguments):
    """The lines of a command on a terminal of this width, in a process of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    child = subprocess.Popen([sys.executable, "-m", "opclock", *map(str, arguments)], stdin=theirs, stdout=theirs,
                             stderr=theirs, env=environment)  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so where the other end is closed
            break
        if not part:
            break
        text += part
    os.close(ours)
    assert child.wait(60) == 0, text
    lines = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text.decode()).replace("\r\n", "\n").rstrip("\n").split("\n")
    return [line.rpartition("\r")[2] for line in lines]  # what is written over is not seen


def fits(lines, width):
    return [line for line in lines if len(line) > width] == []
