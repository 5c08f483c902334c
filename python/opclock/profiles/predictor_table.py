"""What was learnt from a profile's sweeps, kept in its file: one row a kind of kernel, and one for the host.

It can be learnt anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from opclock.errors import ProfileError
from opclock.profiles.profile import Profile
from opclock.profiles.reader import ProfileReader
from opclock.profiles.writer import ProfileWriter

Row = tuple[str, str, bytes]  # kind, facts as JSON, forest
HOST = "host"  # the kind of the host's row, which has a version of its own


@cache
def code_of(*modules: ModuleType) -> str:
    """The hash of these modules' code, which decides what is learnt: where it changed, what was kept is outdated."""
    sources = (Path(str(module.__file__)).read_bytes() for module in modules)
    return hashlib.sha256(b"\n".join(source.replace(b"\r", b"") for source in sources)).hexdigest()


def kept_kinds(profile: ProfileReader, device: str, threads: int, version: str) -> list[str]:
    """The kinds of kernels that are kept for this setting in this version."""
    rows = profile.ask(
        "SELECT kind FROM predictor WHERE device = ? AND threads = ? AND version = ? ORDER BY kind",
        device, threads, version,
    )  # fmt: skip
    return [str(row[0]) for row in rows]


def kept(profile: ProfileReader, device: str, threads: int, kind: str) -> tuple[str, bytes]:
    """The facts and the forest of one kind of kernel."""
    query = "SELECT facts, forest FROM predictor WHERE device = ? AND threads = ? AND kind = ?"
    facts, forest = profile.ask(query, device, threads, kind)[0]
    return facts, forest


def can_keep(profile: ProfileReader) -> bool:
    """Whether ``keep`` may change the file: not one of an older schema, and none that its owner made read-only."""
    if not isinstance(profile, Profile) or profile.copied:
        return False
    return profile.writable or _may_change(profile.path)


def keep(profile: ProfileReader, device: str, threads: int, version: str, rows: Iterable[Row]) -> None:
    """Replace what is kept for this setting: the host's row or all others. Nothing where the file cannot be written."""
    values = [(device, threads, kind, version, facts, forest) for kind, facts, forest in rows]
    if isinstance(profile, Profile) and profile.writable:
        _replace(profile, device, threads, values)
        return
    with suppress(ProfileError), Profile.edit(profile.path) as opened:
        _replace(opened, device, threads, values)


def _replace(profile: ProfileWriter, device: str, threads: int, values: Sequence[tuple[object, ...]]) -> None:
    with profile.changing() as connection:
        of_host = any(kind == HOST for _, _, kind, *_ in values)
        connection.execute(
            "DELETE FROM predictor WHERE device = ? AND threads = ? AND (kind = ?) = ?",
            (device, threads, HOST, of_host),
        )
        connection.executemany(
            "INSERT INTO predictor (device, threads, kind, version, facts, forest) VALUES (?, ?, ?, ?, ?, ?)", values
        )


def _may_change(path: Path) -> bool:
    """Whether this process may write the file, and the user, who may be root, has not marked it as read-only."""
    try:
        return bool(path.stat().st_mode & 0o200) and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    except OSError:
        return False
