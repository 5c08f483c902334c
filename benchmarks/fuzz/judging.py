"""Runs one bad use in a fresh copy of the files, and says what was wrong."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzz import calls
from benchmarks.fuzz.commands import Use
from benchmarks.fuzz.files import digests
from benchmarks.fuzz.running import call, in_a_process, quiet


def faults(use: Use, code: int, errors: str, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """What is wrong with the end of a use."""
    if code not in (0, 1, 2):
        yield f"exit code {code}"
    if "Traceback" in errors:
        yield "traceback: " + errors.strip().splitlines()[-1][:200]
    lines = [line for line in errors.splitlines() if line.startswith("opclock: ")]
    if code == 2 and len(lines) != 1 and "Usage:" not in errors:
        yield f"{len(lines)} lines of complaint: {errors[-200:]!r}"
    for name, digest in before.items():
        if name not in use.may_write and after.get(name) != digest:
            yield f"{name} was {'changed' if name in after else 'removed'}"
    for name in set(after) - set(before):
        if name.endswith(".part") or name.startswith(".opclock"):
            yield f"{name} was left behind"


def run(use: Use, good: Path, *, process: bool) -> list[str]:
    """Run one use in a fresh copy of the folder. Returns what was wrong."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "files"
        shutil.copytree(good, folder, symlinks=True)
        before = digests(folder)
        if process:
            code, _, errors = in_a_process(use.arguments, use.environment, folder)
        elif use.call:
            with contextlib.chdir(folder), calls.names() as names:
                code, _, errors = call(use.call, names)
        else:
            with contextlib.chdir(folder):
                code, _, errors = quiet(use.arguments)
        return list(faults(use, code, errors, before, digests(folder)))
