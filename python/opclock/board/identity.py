"""Identifies the board: its cores, its memory, and the software built for it."""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from opclock.board.cores import Cluster, alike, emulator, read_clusters, within
from opclock.board.system import allowed_cores
from opclock.extension import load_core, load_torch
from opclock.files import text_of


@dataclass(frozen=True)
class Board:
    """The facts about a board that do not change while it runs. Only profiles with equal ``identity`` can be merged."""

    machine: str  # "aarch64", "x86_64"
    model: str  # from the device tree, or the CPU's name
    cpu_parts: tuple[str, ...]  # "AMD EPYC" or "Cortex-A72"
    cores: int
    caches: tuple[str, ...]
    memory_bytes: int
    kernel: str
    os: str
    torch: str
    opclock: str
    commit: str
    clusters: tuple[Cluster, ...] = ()
    allowed: tuple[int, ...] = ()  # the cores this process may use; empty: all
    emulator: str = ""  # what translates the instructions; "" where the processor runs them itself

    @property
    def identity(self) -> str:
        """A text that is equal for measurements that may share a profile."""
        emulated = f", emulated by {self.emulator}" if self.emulator else ""
        return f"{self.model}, {self.machine}{emulated}, {self._cores_text}, torch {self.torch}"

    @property
    def _cores_text(self) -> str:
        """The number of cores, and their kinds where a process may use only some of a board with unlike cores."""
        if not self.allowed or len(self.allowed) >= self.cores:
            return f"{self.cores} cores"
        few = f"{len(self.allowed)} of {self.cores} cores"
        if alike(self.clusters):
            return few
        counts: Counter[str] = Counter()
        for cluster in within(self.clusters, self.allowed):
            counts[cluster.part] += len(cluster.cores)
        return f"{few} ({' + '.join(f'{count} {part}' for part, count in counts.items())})"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        return {**asdict(self), "identity": self.identity}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Board:
        """Rebuild from ``to_json``."""
        fields: dict[str, Any] = {name: value for name, value in data.items() if name != "identity"}
        for name in ("cpu_parts", "caches", "allowed"):
            fields[name] = tuple(fields.get(name, ()))
        fields["clusters"] = tuple(
            Cluster(**{**one, "cores": tuple(one["cores"]), "caches": tuple(one["caches"])})
            for one in fields.get("clusters", ())
        )
        return Board(**fields)


def read_board(root: Path = Path("/"), machine: str = "") -> Board:
    """Describe this board.

    Args:
        root: where /proc and /sys are; a test passes another folder.
        machine: their architecture; that of this machine if empty.

    Returns:
        The board's facts.

    Raises:
        ExtensionError: _core or torch is missing.
    """
    core = load_core()  # first: an install that only reads profiles also lacks torch, and this error names the cause
    machine = machine or platform.machine()
    clusters = read_clusters(root)
    parts = sorted({cluster.part for cluster in clusters} - {""})
    online = sum(len(cluster.cores) for cluster in clusters)
    return Board(
        machine=machine,
        model=text_of(root / "proc/device-tree/model") or (parts[0] if parts else machine),
        cpu_parts=tuple(parts),
        cores=online or os.cpu_count() or 1,
        caches=clusters[0].caches if clusters else (),
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        os=platform.freedesktop_os_release().get("PRETTY_NAME", "") if Path("/etc/os-release").exists() else "",
        torch=load_torch().__version__,
        opclock=version("opclock"),
        commit=core.BUILD_COMMIT,
        clusters=clusters,
        allowed=allowed_cores() if root == Path("/") else (),
        emulator=emulator(machine, root),
    )
