"""Reads a board's state from /proc, /sys and the board's tools. Changes nothing."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from opclock.board.cores import CPUS, alike, emulator, online_cores, ranges, read_clusters, within
from opclock.board.system import allowed_cores
from opclock.files import text_of
from opclock.flags import Flag

# The bits of `vcgencmd get_throttled` on a Raspberry Pi (from the documentation of the firmware).
THROTTLE_BITS = {
    0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "temperature limit",
    16: "under-voltage has occurred", 17: "frequency cap has occurred", 18: "throttling has occurred",
    19: "temperature limit has occurred",
}  # fmt: skip
# Cooling devices with these names slow the board down; others are fans.
SLOWING = re.compile(r"cpu|gpu|devfreq|processor", re.IGNORECASE)
CONSTANT_ZONES = ("PMIC-Die",)  # always 100 °C on a Jetson Nano and TX2: no sensor behind it


@dataclass(frozen=True)
class BoardState:
    """The facts about a board that change while it runs. They are read before and after every measurement."""

    governors: Mapping[str, str]  # by the cores that share a governor: {"0-3": "schedutil"}
    frequencies_hz: tuple[int, ...]  # by core; empty where the kernel does not report them
    temperatures_c: Mapping[str, float]  # by zone
    throttle: tuple[str, ...]  # flags that are set now or were set since boot
    load: float  # 1-minute load: the average number of runnable processes
    affinity: tuple[int, ...]  # cores this process may run on
    available_bytes: int = 0
    power_mode: str = ""  # on a Jetson: "MAXN"
    devices_hz: Mapping[str, int] = field(default_factory=dict)  # clocks of GPU, memory and NPU, by their kernel names

    @property
    def temperature_c(self) -> float | None:
        """The temperature of the hottest zone in °C; None where there is no sensor."""
        return max((c for name, c in self.temperatures_c.items() if name not in CONSTANT_ZONES), default=None)

    @property
    def throttled(self) -> bool:
        """Whether the board is throttled now."""
        return any(not flag.endswith("has occurred") for flag in self.throttle)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


def read_state(root: Path = Path("/")) -> BoardState:
    """Read the board's state.

    Args:
        root: where /proc and /sys are; a test passes another folder.

    Returns:
        The state. Fields that this system does not report are empty.
    """
    frequencies = [text_of(root / CPUS / f"cpu{core}/cpufreq/scaling_cur_freq") for core in online_cores(root)]
    return BoardState(
        governors=_governors(root),
        frequencies_hz=tuple(int(text) * 1000 for text in frequencies if text.isdigit()),
        temperatures_c=_temperatures(root),
        throttle=(*_firmware_flags(root), *_cooling_flags(root)),
        load=psutil.getloadavg()[0],
        affinity=allowed_cores(),
        available_bytes=psutil.virtual_memory().available,
        power_mode=_power_mode(root),
        devices_hz=_devices(root),
    )


def _governors(root: Path) -> dict[str, str]:
    """Governors by cores. Cores with their own policy but the same governor are listed together."""
    governors: dict[str, str] = {}
    alone: dict[str, list[int]] = {}
    for policy in sorted((root / CPUS / "cpufreq").glob("policy*"), key=lambda path: int(path.name[6:])):
        governor = text_of(policy / "scaling_governor")
        cores = text_of(policy / "related_cpus").split()
        if governor and len(cores) > 1:
            governors[ranges(map(int, cores))] = governor
        elif governor:
            alone.setdefault(governor, []).append(int(policy.name[6:]))
    return governors | {ranges(cores): governor for governor, cores in alone.items()}


def _temperatures(root: Path) -> dict[str, float]:
    temperatures_c = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        degrees = text_of(zone / "temp")
        if degrees.lstrip("-").isdigit():
            name = text_of(zone / "type") or zone.name
            temperatures_c[name if name not in temperatures_c else f"{name} ({zone.name})"] = int(degrees) / 1000
    return temperatures_c


def _cooling_flags(root: Path) -> list[str]:
    flags = []
    for device in sorted((root / "sys/class/thermal").glob("cooling_device*")):
        kind, now, most = (text_of(device / name) for name in ("type", "cur_state", "max_state"))
        if SLOWING.search(kind) and now.isdigit() and int(now) > 0:
            flags.append(f"slowed to cool: {kind} {now} of {most}")
    return flags


def _firmware_flags(root: Path) -> tuple[str, ...]:
    """The flags of a Raspberry Pi, from the kernel's file, or else from its tool; empty on other boards."""
    for path in sorted((root / "sys/devices/platform").glob("soc*/*firmware/get_throttled")):
        return parse_throttled(f"throttled=0x{text_of(path)}")
    tool = shutil.which("vcgencmd") if root == Path("/") else None
    if tool is None:
        return ()
    try:
        done = subprocess.run([tool, "get_throttled"], capture_output=True, encoding="utf-8", timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_throttled(done.stdout)


def parse_throttled(answer: str) -> tuple[str, ...]:
    """Read the flags from output such as "throttled=0x50005"; empty for any other text."""
    hexadecimal = re.search(r"throttled=0x([0-9a-fA-F]+)", answer)
    bits = int(hexadecimal.group(1), 16) if hexadecimal else 0
    return tuple(text for bit, text in THROTTLE_BITS.items() if bits >> bit & 1)


def _power_mode(root: Path) -> str:
    """The name of a Jetson's power mode; "" on other boards."""
    now = re.search(r"pmode:0*(\d+)", text_of(root / "var/lib/nvpmodel/status"))
    if now is None:
        return ""
    named = re.search(rf"POWER_MODEL\s+ID={now[1]}\s+NAME=(\S+)", text_of(root / "etc/nvpmodel.conf"))
    return named[1] if named else f"mode {now[1]}"


def _devices(root: Path) -> dict[str, int]:
    frequencies = {device.name: text_of(device / "cur_freq") for device in (root / "sys/class/devfreq").glob("*")}
    return {name: int(text) for name, text in sorted(frequencies.items()) if text.isdigit()}


def team_flags(cores: Sequence[int], threads: int) -> tuple[Flag, ...]:
    """Flag cores that make the times of a team of threads unreliable.

    Args:
        cores: the cores that the process may use.
        threads: the number of threads in the team.

    Returns:
        "emulated": the instructions are translated, so times mean nothing. "unlike_cores": the team may run on cores of
        several kinds, and all threads wait for the slowest. "spans_clusters": the cores are equal, but share neither
        clock nor cache.
    """
    flags: list[Flag] = ["emulated"] if emulator(platform.machine()) else []
    used = within(read_clusters(), cores)
    if threads > 1 and len(used) > 1:
        flags.append("spans_clusters" if alike(used) else "unlike_cores")
    return tuple(flags)
