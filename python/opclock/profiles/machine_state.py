"""How fast the machine is, by its control workloads: in a pool, usually in a profile, or now.

A number holds for the state that the machine was in. On a shared machine it changes within minutes, on a board with the
clock, heat and the power mode. Between two states, seconds are scaled by the geometric mean of all control workloads:
weights by class of kernel, also such that were learnt, did worse (``docs/method.md``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from opclock import arithmetic
from opclock.profiles.machine import MAX_RATIO, MIN_WORKLOADS
from opclock.profiles.pool import FAULT, SINGLE, WATCHED, Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import Shift
from opclock.profiles.statistics import Samples, student

RECENT = 1500  # pools whose state is the usual one
MAX_POOLS = 64  # of them, evenly over the time, show it
NO_CONTROLS = (SINGLE, WATCHED, FAULT)  # what is sampled beside the control workloads and is none
MIN_SAMPLES = 4  # of a workload, that show their noise
MEDIAN_ERROR = math.sqrt(math.pi / 2)  # standard error of a median over that of the mean
QUARTILES = (25.0, 50.0, 75.0)  # their mean is less noisy than the median, and no slow sample moves it


@dataclass(frozen=True)
class MachineState:
    """The logarithm of each control workload's seconds, by its name.

    Attributes:
        levels: the logarithms.
        left_out: workloads of which a profile has impossible seconds, which do not count.
        noise: the standard error of a level, as few samples show it; 0 where it is not known.
    """

    levels: Mapping[str, float]
    left_out: tuple[str, ...] = ()
    noise: float = 0.0

    @staticmethod
    def of_seconds(seconds: Mapping[str, Samples], usual: MachineState | None = None) -> MachineState:
        """From samples in seconds, by the control workload's name.

        Args:
            seconds: NaN where a workload was not sampled. Neither this counts, nor what is infinite or not above 0.
            usual: what is further from it than ``MAX_RATIO`` does not count either.
        """
        levels = {} if usual is None else usual.levels
        known = {
            name: _logs(samples[_possible(samples, levels.get(name))])
            for name, samples in sorted(seconds.items()) if not name.startswith(NO_CONTROLS)
        }  # fmt: skip
        return MachineState({name: _level(logs) for name, logs in known.items() if logs.size},
                            noise=_noise(list(known.values())))  # fmt: skip

    @staticmethod
    def of_pool(pool: Pool, usual: MachineState | None = None) -> MachineState:
        """While a pool was sampled. See ``of_seconds``."""
        return MachineState.of_seconds({**pool.controls, **pool.watching}, usual)

    @staticmethod
    def usual(states: Sequence[MachineState]) -> MachineState:
        """The median of several states, workload by workload."""
        names = sorted({name for state in states for name in state.levels})
        squares = sum(state.noise**2 for state in states)
        wider = MEDIAN_ERROR if len(states) > 2 else 1.0  # a median of two is their mean
        return MachineState(
            {
                name: float(np.median([state.levels[name] for state in states if name in state.levels]))
                for name in names
            },
            noise=wider * math.sqrt(squares) / max(1, len(states)),
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
            The mean of what the workloads show that both have. Its interval is Student's t over the workloads, for one
            more of them: a model is another workload. What they differ by because of their few samples counts for the
            mean alone. None: they have fewer than ``MIN_WORKLOADS`` in common.
        """
        names = sorted(set(self.levels) & set(other.levels))
        if len(names) < MIN_WORKLOADS:
            return None
        shifts = np.array([other.levels[name] - self.levels[name] for name in names])
        variance = float(np.var(shifts, ddof=1))
        really = max(0.0, variance - self.noise**2 - other.noise**2)
        error = math.sqrt(variance / len(names) + really)
        return Shift(float(np.mean(shifts)), student(len(names) - 1, 0.975) * error)


def usual_state(profile: ProfileReader, threads: int) -> MachineState:
    """The usual state of the machine while a profile was measured on the CPU: of its newest ``RECENT`` pools.

    Args:
        profile: the measurements; only read.
        threads: PyTorch's; the control workloads ran on as many.

    Returns:
        The state; not ``known`` where the profile has no control workloads. It names those with impossible seconds.
    """
    return state_of_pools(profile, profile.pools_with_controls(threads, RECENT))


def state_of_pools(profile: ProfileReader, numbers: Sequence[int]) -> MachineState:
    """The usual state of the machine while these pools, in order of time, were sampled."""
    pools = profile.control_seconds(evenly(numbers))
    rough = MachineState({name: _median_level(pools, name) for name in sorted({name for one in pools for name in one})})
    usual = MachineState.usual([MachineState.of_seconds(one, rough) for one in pools])
    impossible = {
        name for one in pools for name, samples in one.items()
        if not name.startswith(NO_CONTROLS) and not _possible(samples, rough.levels[name]).all()
    }  # fmt: skip
    return replace(usual, left_out=tuple(sorted(impossible)))


def evenly(numbers: Sequence[int]) -> list[int]:
    """Up to ``MAX_POOLS`` of them, evenly: the newest alone were all sampled in the last minute of a sweep."""
    count = len(numbers)
    return [numbers[i * count // MAX_POOLS] for i in range(MAX_POOLS)] if count > MAX_POOLS else list(numbers)


def _level(logs: Samples) -> float:
    return float(np.mean(np.percentile(logs, QUARTILES)))


def _noise(by_workload: Sequence[Samples]) -> float:
    """The standard error of a level: half of what those of every other sample differ by from the rest's."""
    halves = [(_level(logs[::2]) - _level(logs[1::2])) / 2 for logs in by_workload if logs.size >= MIN_SAMPLES]
    return math.sqrt(math.fsum(one * one for one in halves) / len(halves)) if halves else 0.0


def _possible(samples: Samples, level: float | None = None) -> npt.NDArray[np.bool_]:
    """Which samples are the seconds of a workload, near a level where one is given."""
    possible = np.isfinite(samples) & (samples > 0)
    if level is not None:
        logs = np.log(samples, where=possible, out=np.zeros_like(samples))
        possible &= np.abs(logs - level) <= math.log(MAX_RATIO)
    return possible


def _logs(samples: Samples) -> Samples:
    """Logarithms with the same digits on every machine."""
    logs = [math.log(sample) for sample in samples.tolist()]  # numpy's are off by up to four units of the last place
    return np.asarray(np.round(logs, arithmetic.DIGITS), dtype=float)


def _median_level(pools: Sequence[Mapping[str, Samples]], name: str) -> float:
    """The logarithm of a workload's median sample, of two the faster: errors are rather slow. NaN where it has none."""
    samples = np.concatenate([one[name] for one in pools if name in one])
    samples = samples[_possible(samples)]
    return arithmetic.log(float(np.quantile(samples, 0.5, method="lower"))) if samples.size else math.nan
