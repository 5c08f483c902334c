"""The highest rates that a board reaches: the roofs of a roofline. They are read from its profile."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from opclock.errors import EstimateError
from opclock.flags import Flag
from opclock.profiles.reader import ProfileReader
from opclock.tracing.macs import footprint_bytes, macs, moved_bytes, needed_macs
from opclock.tracing.trace import Trace, TracedCall

DTYPES = ("float32", "float64", "bfloat16", "float16", "int8")
NARROW = ("bfloat16", "float16", "int8")  # than float32
PATTERNS = ("read", "write", "copy", "triad", "update")
SIZES = tuple(1 << exponent for exponent in range(12, 29))  # bytes: from a part of the L1 cache to DRAM on every board
COUNTED_IN = {"float64": "float64", "int64": "float64", "bfloat16": "bfloat16", "float16": "float16", "int8": "int8",
              "uint8": "int8"}  # fmt: skip
MIN_BUFFER = 1 << 20
MAX_BUFFER = 1 << 28  # bytes: four times the largest last-level cache of a small board, so this is DRAM


@dataclass(frozen=True)
class Ceilings:
    """The highest rates per second, with one number of threads."""

    threads: int
    multiply_adds: dict[str, float]  # by dtype
    bytes_per_s: dict[str, dict[int, float]]  # by pattern and bytes of working set
    loads_per_s: dict[int, float]  # by bytes of working set; of one thread

    @staticmethod
    def read(profile: ProfileReader, threads: int) -> Ceilings:
        """Read them from a profile. Raises EstimateError where they were not measured with this number of threads."""
        ceilings = Ceilings(threads, {}, {}, {})
        for kept in profile.ceilings(threads):
            name, _, kind = kept.name.partition("_")
            if kept.name.startswith("multiply_adds_"):
                ceilings.multiply_adds[kept.name.removeprefix("multiply_adds_")] = kept.rate
            elif kind == "bytes_per_s" and name in PATTERNS:
                ceilings.bytes_per_s.setdefault(name, {})[kept.nbytes] = kept.rate
            elif kept.name == "loads_per_s":
                ceilings.loads_per_s[kept.nbytes] = kept.rate
        if not ceilings.whole:
            raise EstimateError(f"{profile.path} has no ceilings for {threads} threads: run 'opclock ceilings "
                                f"--threads {threads}' with this profile on its board")  # fmt: skip
        return ceilings

    @property
    def whole(self) -> bool:
        """Whether all ceilings were measured."""
        return set(DTYPES) <= set(self.multiply_adds) and all(
            set(SIZES) <= set(self.bytes_per_s.get(pattern, ())) for pattern in PATTERNS
        )

    @property
    def slow_dtypes(self) -> list[str]:
        """Narrower dtypes with fewer multiply-adds than float32."""
        return [name for name, rate in self.multiply_adds.items()
                if name in NARROW and rate < self.multiply_adds["float32"]]  # fmt: skip

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What is unusual about these ceilings."""
        return ("slower_than_float32",) if self.slow_dtypes else ()

    def bandwidth(self, nbytes: float, patterns: Sequence[str] = PATTERNS) -> float:
        """Bytes per second of the fastest pattern, in the nearest memory that holds this many bytes."""
        below = SIZES[max(0, bisect_right(SIZES, nbytes) - 1)]
        return max(self._fastest[name][below] for name in patterns)

    @cached_property
    def _fastest(self) -> dict[str, dict[int, float]]:
        """By pattern and size: the fastest rate with at least this many bytes."""
        return {
            name: {below: max(rate for size, rate in rates.items() if size >= below) for below in SIZES}
            for name, rates in self.bytes_per_s.items()
        }

    def peak(self, dtype: str) -> float:
        """Multiply-accumulates per second on numbers of this dtype."""
        return self.multiply_adds[COUNTED_IN.get(dtype, "float32")]

    def call_s(self, traced: TracedCall) -> float:
        """The shortest time in seconds that an op call can take (Williams et al. 2009, Roofline)."""
        moving_s = moved_bytes(traced) / self.bandwidth(footprint_bytes(traced))
        return max(needed_macs(traced) / self.peak(call_dtype(traced)), moving_s)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; rates are per second."""
        return {
            "threads": self.threads,
            "multiply_adds_per_s": self.multiply_adds,
            "bytes_per_s": self.bytes_per_s,
            "loads_per_s": self.loads_per_s,
            "flags": list(self.flags),
        }


def shortest_times(trace: Trace, profile: ProfileReader, threads: int) -> dict[str, float]:
    """The shortest time that each op call can take by the ceilings of a profile, in seconds (Williams et al. 2009).

    Where the profile lacks some of the ceilings, the two that a validation measures take their place: multiply-adds in
    float32, and copies in buffers of about the working set.

    Args:
        trace: the model, on the CPU.
        profile: only read.
        threads: with which the ceilings were measured.

    Returns:
        Seconds by the key of the op call; empty where the profile has no ceilings.
    """
    calls = {traced.call.key: traced for traced in trace.calls}
    try:
        ceilings = profile.remembered(("ceilings", threads), lambda: Ceilings.read(profile, threads))
    except EstimateError:
        peak = profile.ceiling("multiply_adds_float32", 0, threads)
        bandwidth = profile.ceiling("copy_bytes_per_s", buffer_bytes(trace.working_set), threads)
        if peak is None or bandwidth is None:
            return {}
        return {key: max(macs(traced) / peak, moved_bytes(traced) / bandwidth) for key, traced in calls.items()}
    return {key: ceilings.call_s(traced) for key, traced in calls.items()}


def buffer_bytes(working_set: int) -> int:
    """The buffer size at which to measure the bandwidth for a working set.

    Args:
        working_set: bytes that the model touches.

    Returns:
        Bytes: the next power of two, between 1 MiB and 256 MiB.
    """
    return min(MAX_BUFFER, max(MIN_BUFFER, 1 << max(0, working_set - 1).bit_length()))


def call_dtype(traced: TracedCall) -> str:
    """The dtype of an op call's first tensor; "float32" where it has none."""
    return next((spec.dtype for spec in traced.call.tensors()), "float32")
