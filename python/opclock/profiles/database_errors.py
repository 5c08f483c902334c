"""Converts SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opclock.errors import ProfileError


def _remedy(path: Path) -> str:
    """What to do where SQLite cannot open or write a file."""
    folder = path.resolve().parent
    if path.exists() and not os.access(path, os.W_OK):
        return f"this user may not write the file: 'chmod u+w {path}', or give another --profile file"
    if not os.access(folder, os.W_OK):
        return f"this user may not write the folder {folder}, where a log stands beside the file: give a file elsewhere"
    return "is the disk full or read-only?"


@contextmanager
def as_profile_errors(path: Path) -> Iterator[None]:
    """Convert SQLite's errors inside the block to ProfileError, which names the file and the next step."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "thread" in str(error):
            raise ProfileError(f"the profile {path} is open in another thread; open it in this one too") from error
        if "closed" not in str(error):
            raise
        raise ProfileError(f"the profile {path} is closed; use it inside its with block, or open it again") from error
    except sqlite3.OperationalError as error:
        if "no such" in str(error):
            raise ProfileError(
                f"{path} was copied while it was written, or is damaged ({error}); copy it together with "
                f"{path.name}-wal, or when nobody writes"
            ) from error
        raise ProfileError(f"cannot use the profile {path}: {error}; {_remedy(path)}") from error
    except sqlite3.DatabaseError as error:
        raise ProfileError(f"{path} is not a profile or is damaged ({error}); restore a copy or give another file"
                           ) from error  # fmt: skip
