"""Writes files completely or not at all, and reads files that may be missing."""

from __future__ import annotations

import os
from pathlib import Path

from opclock.errors import OptionError


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that it never holds only a part of the content.

    Raises OptionError where it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise OptionError(
            f"cannot write {path}: {error.strerror}; name a file in a folder that can be written"
        ) from error


def prepare_folder(folder: Path) -> None:
    """Create the folder and check that it is writable. Raises OptionError where it is not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".opclock.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OptionError(f"cannot write into {folder}: {error.strerror}; name another folder") from error


def text_of(path: Path) -> str:
    """A small file's text without null bytes and outer spaces; "" where it is unreadable, as some files in /sys are."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
    except OSError:
        return ""
