"""Text from elsewhere, such as a profile or a command on a board, without what would control a terminal."""

from __future__ import annotations

import re

# Sequences of a terminal (ECMA-48), whole or cut off, and control characters but for tabs and ends of lines.
_CONTROLS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b.?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def printable(text: str) -> str:
    """The text without control characters: a model may print any, and a damaged profile may hold any."""
    return _CONTROLS.sub("", text)
