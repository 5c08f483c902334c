"""Reads a machine's cores from /proc and /sys: their names, and clusters of equal cores."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from opclock.argument_checks import shown
from opclock.board.quota import cpu_quota
from opclock.board.system import allowed_cores
from opclock.errors import OptionError
from opclock.files import text_of
from opclock.formatting import counted

# By implementer and part number of the main ID register, as in /proc/cpuinfo (from the makers' reference manuals).
PARTS = {
    0x41: {0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72",
           0xD09: "Cortex-A73", 0xD0A: "Cortex-A75", 0xD0B: "Cortex-A76", 0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77",
           0xD0E: "Cortex-A76AE", 0xD40: "Neoverse-V1", 0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE",
           0xD44: "Cortex-X1", 0xD46: "Cortex-A510", 0xD47: "Cortex-A710", 0xD48: "Cortex-X2", 0xD49: "Neoverse-N2",
           0xD4A: "Neoverse-E1", 0xD4B: "Cortex-A78C", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2",
           0xD80: "Cortex-A520", 0xD81: "Cortex-A720", 0xD82: "Cortex-X4", 0xD84: "Neoverse-V3", 0xD85: "Cortex-X925",
           0xD87: "Cortex-A725"},
    0x4E: {0x000: "NVIDIA Denver", 0x003: "NVIDIA Denver 2", 0x004: "NVIDIA Carmel"},
    0x51: {0x001: "Qualcomm Oryon", 0x800: "Kryo 2xx Gold", 0x801: "Kryo 2xx Silver", 0x802: "Kryo 3xx Gold",
           0x803: "Kryo 3xx Silver", 0x804: "Kryo 4xx Gold", 0x805: "Kryo 4xx Silver"},
    0x46: {0x001: "Fujitsu A64FX"},
    0x48: {0xD01: "HiSilicon TSV110"},
    0xC0: {0xAC3: "Ampere-1", 0xAC4: "Ampere-1A"},
    0x61: {0x020: "Apple Icestorm (A14)", 0x021: "Apple Firestorm (A14)", 0x022: "Apple Icestorm (M1)",
           0x023: "Apple Firestorm (M1)", 0x024: "Apple Icestorm (M1 Pro)", 0x025: "Apple Firestorm (M1 Pro)",
           0x028: "Apple Icestorm (M1 Max)", 0x029: "Apple Firestorm (M1 Max)", 0x032: "Apple Blizzard (M2)",
           0x033: "Apple Avalanche (M2)", 0x034: "Apple Blizzard (M2 Pro)", 0x035: "Apple Avalanche (M2 Pro)"},
}  # fmt: skip
# Names that emulators give their processors.
TRANSLATORS = {"QEMU TCG": "QEMU", "VirtualApple": "Rosetta"}
CPUS = Path("sys/devices/system/cpu")


@dataclass(frozen=True)
class Cluster:
    """Equal cores that share a clock, or whose clocks have the same range."""

    part: str  # "Cortex-A72", "AMD EPYC"
    cores: tuple[int, ...]
    max_hz: int | None  # None where the kernel does not report it
    caches: tuple[str, ...]  # the caches of its first core: "L1 data 32K"

    def __str__(self) -> str:
        clock = f" at {self.max_hz / 1e9:.2f} GHz" if self.max_hz else ""
        return f"{len(self.cores)} {self.part}{clock} (cores {ranges(self.cores)})"

    @property
    def kind(self) -> tuple[str, int | None]:
        """Equal for clusters with equally fast cores."""
        return self.part, self.max_hz


def read_clusters(root: Path = Path("/")) -> tuple[Cluster, ...]:
    """Read the clusters of the cores that are online.

    Args:
        root: where /proc and /sys are; a test passes another folder.

    Returns:
        The clusters, ordered by their first core.
    """
    parts = read_parts(root)
    together: dict[tuple[str, int | None, tuple[str, ...]], list[int]] = {}
    for core in online_cores(root):
        shared = text_of(root / CPUS / f"cpu{core}/cpufreq/related_cpus").split()
        clock = tuple(shared) if len(shared) > 1 else ()
        together.setdefault((parts.get(core, ""), _max_hz(root, core), clock), []).append(core)
    return tuple(
        Cluster(part, tuple(cores), max_hz, _caches(root, cores[0])) for (part, max_hz, _), cores in together.items()
    )


def within(clusters: Iterable[Cluster], allowed: Iterable[int]) -> tuple[Cluster, ...]:
    """Reduce clusters to the allowed cores.

    Args:
        clusters: all clusters.
        allowed: numbers of the allowed cores.

    Returns:
        The clusters with their allowed cores. Clusters without any are left out.
    """
    cores = set(allowed)
    parts = ((one, tuple(core for core in one.cores if core in cores)) for one in clusters)
    return tuple(replace(one, cores=left) for one, left in parts if left)


def alike(clusters: Iterable[Cluster]) -> bool:
    """Whether all cores of these clusters are equally fast."""
    return len({cluster.kind for cluster in clusters}) <= 1


def check_threads(threads: int) -> None:
    """Raise OptionError for fewer than one thread, and for more threads than cores that this process may use."""
    allowed = len(allowed_cores())
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise OptionError(f"threads={shown(threads)}: give a whole number from 1 to {allowed}")
    if threads > allowed:
        raise OptionError(
            f"threads={threads}: this process may use {counted(allowed, 'core')}, and more threads than cores wait "
            f"for one another in every kernel; give at most {allowed}"
        )


def default_threads(root: Path = Path("/")) -> int:
    """One thread for each core that this process may use, and no more than its container's quota can keep running."""
    quota = cpu_quota(root)
    cores = len(allowed_cores())
    return cores if quota is None else max(1, min(cores, int(quota)))


def beyond_quota(threads: int, root: Path = Path("/")) -> str:
    """Say in a sentence that the container's quota is too small for these threads; "" where it is not."""
    quota = cpu_quota(root)
    if quota is None or threads <= quota:
        return ""
    return (
        f"{threads} threads have the processor time of {quota:.3g} cores (the container's CPU quota): the kernel stops "
        f"them in every period; use --threads {default_threads(root)}, or give the container more"
    )


def online_cores(root: Path = Path("/")) -> tuple[int, ...]:
    """The numbers of the cores that are switched on. Some boards switch cores off to save power."""
    text = text_of(root / CPUS / "online")
    return parse_ranges(text) if text else tuple(sorted(read_parts(root)))


def read_parts(root: Path = Path("/")) -> dict[int, str]:
    """Read the part of each core.

    Args:
        root: where /proc is; a test passes another folder.

    Returns:
        By number of the core: its name, or "implementer 0x41 part 0xd99" for an unknown Arm core.
    """
    parts = {}
    for block in re.split(r"\n\s*\n", text_of(root / "proc/cpuinfo")):
        facts = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", block, re.MULTILINE))
        if facts.get("processor", "").isdigit():
            parts[int(facts["processor"])] = _part(facts)
    return parts


def _part(facts: dict[str, str]) -> str:
    if "CPU implementer" in facts and "CPU part" in facts:
        implementer, part = facts["CPU implementer"], facts["CPU part"]
        known = PARTS.get(int(implementer, 16), {})
        return known.get(int(part, 16), f"implementer {implementer} part {part}")
    return facts.get("model name", "")


def _max_hz(root: Path, core: int) -> int | None:
    text = text_of(root / CPUS / f"cpu{core}/cpufreq/cpuinfo_max_freq")
    return int(text) * 1000 if text.isdigit() else None


def _caches(root: Path, core: int) -> tuple[str, ...]:
    caches = []
    for index in sorted((root / CPUS / f"cpu{core}/cache").glob("index*")):
        level, kind, size = (text_of(index / name) for name in ("level", "type", "size"))
        if size:
            caches.append(f"L{level} {kind.lower()} {size}")
    return tuple(caches)


def emulator(machine: str, root: Path = Path("/")) -> str:
    """Detect an emulator.

    An emulated process of another architecture sees the /proc/cpuinfo of the real machine, or one with implementer
    0x00, which no maker has. An emulated machine that reports a real part is not detected.

    Args:
        machine: the architecture of this process: "aarch64", "x86_64".
        root: where /proc is; a test passes another folder.

    Returns:
        The name of what translates the instructions; "" where the processor runs them itself.
    """
    info = text_of(root / "proc/cpuinfo")
    for name, translator in TRANSLATORS.items():
        if name in info:
            return translator
    arm = re.findall(r"^CPU implementer\s*:\s*(\S+)", info, re.MULTILINE)
    if machine in ("aarch64", "armv7l", "armv8l") and info and (not arm or set(arm) == {"0x00"}):
        return "QEMU"
    return "QEMU" if machine == "x86_64" and arm else ""


def ranges(cores: Iterable[int]) -> str:
    """Format numbers of cores as the kernel lists them: "0-3,6"."""
    runs: list[list[int]] = []
    for core in sorted(cores):
        if runs and core == runs[-1][-1] + 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def parse_ranges(text: str) -> tuple[int, ...]:
    """Parse a list of cores such as "0-3,6". Raises OptionError for any other text."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise OptionError(f"'{text}' is not a list of cores: write 4-7 or 0,2-3")
        cores |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(cores))
