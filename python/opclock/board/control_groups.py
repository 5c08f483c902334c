"""Finds the control groups that limit this process, as in a container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from opclock.files import text_of

Controller = Literal["cpu", "memory"]


def group_folders(controller: Controller, root: Path = Path("/")) -> Iterator[Path]:
    """The folders of the groups that limit this process, in each hierarchy from its own group up to the mount.

    Args:
        controller: what they limit. In version 2 of control groups one folder holds all limits.
        root: where /proc and /sys are; a test passes another folder.

    Yields:
        Folders, the process's own group first. A folder need not hold a limit.
    """
    mounts = list(_mounts(controller, root))
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, _, controllers_and_path = line.partition(":")
        controllers, _, path = controllers_and_path.partition(":")
        for mounted, folder, holds in mounts:
            if controllers == holds or holds in controllers.split(","):
                # Inside a container, the mount may show a part of the tree only, or the path may lie outside it.
                inside = Path(path).relative_to(mounted) if Path(path).is_relative_to(mounted) else Path()
                own = folder / inside
                yield own
                yield from (above for above in own.parents if above.is_relative_to(folder))


def _mounts(controller: Controller, root: Path) -> Iterator[tuple[str, Path, str]]:
    """For each mounted hierarchy: the group at its top, its folder, and the controller for version 1 or "" for 2."""
    for line in text_of(root / "proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or not kind or kind[0] not in ("cgroup", "cgroup2"):
            continue
        holds = "" if kind[0] == "cgroup2" else controller
        if holds and not re.search(rf"(^|,){controller}(,|$)", kind[-1]):
            continue
        yield fields[3], root / fields[4].lstrip("/"), holds
