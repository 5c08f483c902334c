"""Ends a command in order where the system asks it to end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ENDED = 128 + signal.SIGTERM  # as in shells


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Inside the block, let SIGTERM leave all ``with`` blocks as an error does: children end, files are removed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
