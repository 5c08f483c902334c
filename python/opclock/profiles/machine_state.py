"""How fast the machine is, by its control workloads: in a pool, usually in a profile, or now.

A number holds for the state that the machine was in. On a shared machine it changes within minutes, on a board with the
clock, heat and the power mode. Between two states, seconds are scaled by the geometric mean of all control workloads:
weights by class of kernel, also such that were learnt, did worse (``docs/method.md``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from opclock.profiles.pool import WATCHED, Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import Shift
from opclock.profiles.statistics import Samples

MIN_WORKLOADS = 3  # fewer do not show how kernels differ
MAX_POOLS = 64  # the newest show what is usual
QUARTILES = (25.0, 50.0, 75.0)  # their mean is less noisy than the median, and no slow sample moves it


@dataclass(frozen=True)
class MachineState:
    """The logarithm of each control workload's seconds, by its name."""

    levels: Mapping[str, float]

    @staticmethod
    def of_seconds(seconds: Mapping[str, Samples]) -> MachineState:
        """From samples in seconds, by the control workload's name. Those that are not finite do not count."""
        known = {name: samples[np.isfinite(samples) & (samples > 0)] for name, samples in seconds.items()}
        return MachineState(
            {
                name: float(np.mean(np.percentile(np.log(samples), QUARTILES)))
                for name, samples in sorted(known.items())
                if samples.size and not name.startswith(WATCHED)
            }
        )

    @staticmethod
    def of_pool(pool: Pool) -> MachineState:
        """While a pool was sampled."""
        return MachineState.of_seconds({**pool.controls, **pool.watching})

    @staticmethod
    def usual(states: Sequence[MachineState]) -> MachineState:
        """The median of several states, workload by workload."""
        names = sorted({name for state in states for name in state.levels})
        return MachineState(
            {name: float(np.median([state.levels[name] for state in states if name in state.levels])) for name in names}
        )

    @property
    def known(self) -> bool:
        """Whether enough control workloads were sampled."""
        return len(self.levels) >= MIN_WORKLOADS

    def to(self, other: MachineState) -> Shift | None:
        """The shift from this state to another.

        Args:
            other: a state of the same machine with as many threads.

        Returns:
            The mean of what the workloads show that both have. Its interval is Student's t over the workloads: a kernel
            may follow any of them. None: they have fewer than ``MIN_WORKLOADS`` in common.
        """
        names = sorted(set(self.levels) & set(other.levels))
        if len(names) < MIN_WORKLOADS:
            return None
        shifts = np.array([other.levels[name] - self.levels[name] for name in names])
        error = float(np.std(shifts, ddof=1)) / math.sqrt(len(names))
        return Shift(float(np.mean(shifts)), float(stdtrit(len(names) - 1, 0.975)) * error)


def usual_state(profile: ProfileReader, threads: int) -> MachineState:
    """The usual state of the machine while a profile was measured on the CPU: of its newest pools.

    Args:
        profile: the measurements; only read.
        threads: PyTorch's; the control workloads ran on as many.

    Returns:
        The state; not ``known`` where the profile has no control workloads.
    """
    seconds = profile.control_seconds(threads, MAX_POOLS)
    return MachineState.usual([MachineState.of_seconds(one) for one in seconds])
