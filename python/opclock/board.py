"""What board this is and what state it is in, from /proc, /sys and the board's own tools. Nothing is ever changed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from opclock.extension import load_core, load_torch

# The bits of `vcgencmd get_throttled` on a Raspberry Pi (documentation of the firmware's mailbox interface).
THROTTLE_BITS = {
    0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "temperature limit",
    16: "under-voltage has occurred", 17: "frequency cap has occurred", 18: "throttling has occurred",
    19: "temperature limit has occurred",
}  # fmt: skip


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\0", "").strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Board:
    """What does not change while the board runs. Two profiles compare only where `identity` is equal."""

    machine: str  # "aarch64", "x86_64"
    model: str  # the device tree's model, or the CPU's name
    cpu_parts: tuple[str, ...]  # "AMD EPYC" or "implementer 0x41 part 0xd08"
    cores: int
    caches: tuple[str, ...]
    memory_bytes: int
    kernel: str
    os: str
    torch: str
    opclock: str
    commit: str

    @property
    def identity(self) -> str:
        """Equal where measurements may be kept in one profile."""
        return f"{self.model}, {self.machine}, {self.cores} cores, torch {self.torch}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, the inverse of from_json."""
        return {**asdict(self), "identity": self.identity}

    @staticmethod
    def from_json(data: dict[str, Any]) -> Board:
        """Rebuild from to_json."""
        fields: dict[str, Any] = {name: value for name, value in data.items() if name != "identity"}
        return Board(**{**fields, "cpu_parts": tuple(fields["cpu_parts"]), "caches": tuple(fields["caches"])})


@dataclass(frozen=True)
class BoardState:
    """What does change: read before and after every measurement."""

    governors: tuple[str, ...]
    frequencies_hz: tuple[int, ...]  # by core; empty where the kernel does not say
    temperature_c: float | None  # of the hottest zone
    throttle: tuple[str, ...]  # flags that are set now or were since boot
    load: float  # runnable processes, 1-minute average
    affinity: tuple[int, ...]  # cores this process may run on
    available_bytes: int = field(default=0)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def read_board(root: Path = Path("/")) -> Board:
    """Describe this board; `root` is where /proc and /sys are found. Raises ExtensionError without _core or torch."""
    info = _read(root / "proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    arm = re.findall(r"^CPU implementer\s*:\s*(\S+)[\s\S]*?^CPU part\s*:\s*(\S+)$", info, re.MULTILINE)
    parts = sorted(set(names) | {f"implementer {implementer} part {part}" for implementer, part in arm})
    core = load_core()
    return Board(
        machine=platform.machine(),
        model=_read(root / "proc/device-tree/model") or (parts[0] if parts else platform.machine()),
        cpu_parts=tuple(parts),
        cores=os.cpu_count() or 1,
        caches=_caches(root),
        memory_bytes=psutil.virtual_memory().total,
        kernel=platform.release(),
        os=platform.freedesktop_os_release().get("PRETTY_NAME", "") if Path("/etc/os-release").exists() else "",
        torch=load_torch().__version__,
        opclock=version("opclock"),
        commit=core.BUILD_COMMIT,
    )


def _caches(root: Path) -> tuple[str, ...]:
    found = []
    for index in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if size:
            found.append(f"L{level} {kind.lower()} {size}")
    return tuple(found)


def read_state(root: Path = Path("/")) -> BoardState:
    """Read what changes while the board runs."""
    cpus = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*"), key=lambda path: int(path.name[3:]))
    governors = {_read(cpu / "cpufreq/scaling_governor") for cpu in cpus} - {""}
    frequencies = [_read(cpu / "cpufreq/scaling_cur_freq") for cpu in cpus]
    zones = [_read(zone / "temp") for zone in (root / "sys/class/thermal").glob("thermal_zone*")]
    temperatures = [int(text) / 1000 for text in zones if text.lstrip("-").isdigit()]
    return BoardState(
        governors=tuple(sorted(governors)),
        frequencies_hz=tuple(int(text) * 1000 for text in frequencies if text.isdigit()),
        temperature_c=max(temperatures, default=None),
        throttle=throttle_flags(),
        load=os.getloadavg()[0],
        affinity=tuple(sorted(os.sched_getaffinity(0))),
        available_bytes=psutil.virtual_memory().available,
    )


def throttle_flags() -> tuple[str, ...]:
    """What `vcgencmd get_throttled` reports, in words; empty where there is no such tool."""
    tool = shutil.which("vcgencmd")
    if tool is None:
        return ()
    try:
        answer = subprocess.run([tool, "get_throttled"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_throttled(answer)


def parse_throttled(answer: str) -> tuple[str, ...]:
    """The flags in an answer such as "throttled=0x50005"; empty for any other text."""
    found = re.search(r"throttled=0x([0-9a-fA-F]+)", answer)
    bits = int(found.group(1), 16) if found else 0
    return tuple(text for bit, text in THROTTLE_BITS.items() if bits >> bit & 1)
