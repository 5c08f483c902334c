"""Measurements: raw samples with their condition. Statistics are computed from them and never stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from opclock.flags import Flag, ordered, precision_flags
from opclock.profiles.condition import Condition
from opclock.profiles.processes import (
    Processes,
    ProcessTimes,
    differing_layouts,
    middle,
    middle_interval,
    process_times,
)
from opclock.profiles.shift import Shift
from opclock.profiles.statistics import Samples

# Names of samples beside the control workloads: a small model as it is, the same with one thread where the pool has
# several, and timed op call by op call with one thread.
REAL, SINGLE, WATCHED = "real ", "single ", "watched "
FAULT = "page fault"  # seconds of one
FAR = "far "  # begins the names of control workloads whose data come from far memory
OWN = "own weights, bytes: "  # begins the name of one that reads a model's own weights; its bytes follow


@dataclass(frozen=True)
class Measurement:
    """Samples of one op call in the order they were taken, in seconds per call."""

    key: str
    condition: Condition
    samples: Samples
    control_s: Samples  # seconds of the control workload in the same rounds, one for each sample
    calls_per_sample: int
    reason: str  # why sampling stopped: narrow, stagnant or time_cap; "" where it was interrupted
    blocks: npt.NDArray[np.int_] | None = None  # by sample: the number of its block; None: not known
    processes: Processes | None = None  # by sample: the number of its process; None: one process took all

    @cached_property
    def median_s(self) -> float:
        """The median, in seconds of one call; of several processes, the mean of their medians."""
        return float(middle(self.samples, self.processes))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """95 % interval of the median, in seconds."""
        return middle_interval(self.samples, blocks=self.blocks, processes=self.processes)

    @property
    def mad_s(self) -> float:
        """Median absolute deviation from the median, in seconds."""
        return float(np.median(np.abs(self.samples - self.median_s)))


@dataclass(frozen=True)
class Pool:
    """The rounds of op calls that were sampled together. Arrays by round hold the rounds that count.

    These are the clean ones; with very few of those, the least disturbed ones too (``disturbance.kept``).
    """

    number: int
    condition: Condition
    keys: tuple[str, ...]  # by position in the pool; a key may occur more than once
    calls_per_sample: tuple[int, ...]  # by position
    reasons: tuple[str, ...]  # by position
    ended: str  # why sampling stopped: settled or time_cap; "" where it was interrupted
    seconds: Samples  # rounds x positions
    control_s: Samples  # by round
    host_key: str  # key of the host that was played; "" for none
    host_s: Samples  # rounds x host calls
    host_kinds: tuple[str, ...]  # by host call
    context: dict[str, Any]  # the clock, and the board's state before and after
    blocks: npt.NDArray[np.int_]  # by round: the number of its block, from 0; a block's rounds were taken in a row
    processes: Processes | None  # by round: the number of its process, from 1; None: one process took all
    faults: Samples  # by round: page faults that needed no disk; NaN: not known
    rounds: int  # all that were taken
    disturbed: int  # of all that were taken
    contended: bool  # too few were clean, see ``disturbance.contended``
    controls: dict[str, Samples]  # by the control workload's name: its seconds by block; NaN where not sampled
    watching: dict[str, Samples] = field(default_factory=dict)  # the same of "real NAME" and so on
    shift: Shift | None = None  # from the state it was sampled in, where its seconds are those of another state

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """What was unusual about its rounds, the most serious first."""
        return ordered(
            [
                *self.context.get("flags", ()),
                *(("contended",) if self.contended else ()),
                *(() if self.ended else ("interrupted",)),
                *(("layout",) if self.processes is not None and differing_layouts(self.process_times) else ()),
            ]
        )

    @cached_property
    def process_times(self) -> tuple[ProcessTimes, ...]:
        """What each process measured in a round."""
        return process_times(self.rounds_s, self.faults, blocks=self.blocks, processes=self.processes)

    @cached_property
    def model_faults(self) -> dict[int, float]:
        """Page faults of one real inference, by the number of the process; empty where they were not counted."""
        return {int(number): float(faults) for number, faults in self.context.get("model_faults", {}).items()}

    @property
    def model_flags(self) -> tuple[Flag, ...]:
        """The flags of the model itself, whose host it has: op calls that other models share do not have them."""
        return ordered(self.context.get("model_flags", ()))

    @property
    def python_calls(self) -> tuple[int, ...]:
        """By host call: how many Python functions were called; empty where that was not counted."""
        counts = tuple(self.context.get("python_calls", ()))
        return counts if len(counts) == len(self.host_kinds) else ()

    @property
    def clean(self) -> int:
        """How many of all its rounds no other program disturbed."""
        return self.rounds - self.disturbed

    @property
    def round_flags(self) -> tuple[Flag, ...]:
        """The flags of its rounds as a whole: the pool's, and "imprecise"."""
        median_s = float(middle(self.rounds_s, self.processes))
        low_s, high_s = middle_interval(self.rounds_s, blocks=self.blocks, processes=self.processes)
        return ordered([*self.flags, *precision_flags(median_s, low_s, high_s)])

    def flags_of(self, measurement: Measurement) -> tuple[Flag, ...]:
        """The flags of one of its op calls alone: those of the pool, "imprecise" and "unresolved"."""
        shortest_s = self.context.get("clock_before", {}).get("shortest_sample_s", 0.0)
        # Half: a kernel may be faster now than in the warm-up, which fixed how many calls make a sample.
        unresolved = measurement.median_s * measurement.calls_per_sample < shortest_s / 2
        own = precision_flags(measurement.median_s, *measurement.interval_s)
        return ordered([*self.flags, *own, *(("unresolved",) if unresolved else ())])

    @property
    def rounds_s(self) -> Samples:
        """By round: the sum of everything in it, host work included."""
        kernels_s: Samples = self.seconds.sum(axis=1)
        return kernels_s + self.host_s.sum(axis=1) if self.host_kinds else kernels_s

    @cached_property
    def positions(self) -> dict[str, list[int]]:
        """The positions of each key."""
        positions: dict[str, list[int]] = {}
        for position, key in enumerate(self.keys):
            positions.setdefault(key, []).append(position)
        return positions

    def shifted(self, shift: Shift) -> Pool:
        """The same rounds in another state of the machine."""
        factor = shift.factor
        watching = {name: seconds * factor for name, seconds in self.watching.items()}
        return replace(self, seconds=self.seconds * factor, host_s=self.host_s * factor, watching=watching, shift=shift)

    def measurement(self, key: str) -> Measurement:
        """All samples of one op call in this pool, in the order taken. Raises KeyError where the pool lacks it."""
        positions = self.positions[key]
        return Measurement(
            key,
            self.condition,
            self.seconds[:, positions].ravel(),
            np.repeat(self.control_s, len(positions)),
            self.calls_per_sample[positions[0]],
            self.reasons[positions[0]],
            np.repeat(self.blocks, len(positions)),
            None if self.processes is None else np.repeat(self.processes, len(positions)),
        )


def interrupted_after(pools: Iterable[Pool]) -> int | None:
    """The fewest rounds of one of these pools that did not end; None where all did."""
    return min((pool.rounds for pool in pools if not pool.ended), default=None)
