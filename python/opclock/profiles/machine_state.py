"""How fast the machine is, by its control workloads: in a pool, usually in a profile, or now.

A number holds for the state that the machine was in. On a shared machine it changes within minutes, on a board with the
clock, heat and the power mode, in each process with where its pages lie. Between two states, seconds are scaled by the
geometric means of two groups of control workloads: those whose data lie in the caches, and those from far memory, where
the inference before left the weights of a large model. How much the second counts depends on the model's working set.
Where both states have read one model's own weights, that takes the place of the second group (``docs/method.md``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from opclock import arithmetic
from opclock.profiles.machine import MAX_RATIO, MIN_WORKLOADS
from opclock.profiles.pool import FAR, FAULT, OWN, SINGLE, WATCHED, Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import Shift
from opclock.profiles.statistics import Samples, student

RECENT = 1500  # pools whose state is the usual one
MAX_POOLS = 64  # of them, evenly over the time, show it
NO_CONTROLS = (SINGLE, WATCHED, FAULT)  # what is sampled beside the control workloads and is none
MIN_SAMPLES = 4  # of a workload, that show their noise
MEDIAN_ERROR = math.sqrt(math.pi / 2)  # standard error of a median over that of the mean
QUARTILES = (25.0, 50.0, 75.0)  # their mean is less noisy than the median, and no slow sample moves it
FAR_BYTES = 64 << 20  # that the largest workload from far memory reads; a model of this size follows both groups alike
MAX_DIGITS = 64  # of a working set that differ in its share; a damaged profile may name more


def far_share(working_set: int) -> float:
    """How much the workloads from far memory count for op calls: from 0, all is in the caches, to 1.

    Args:
        working_set: the number of binary digits of the bytes that the op calls touch together, as in ``Condition``.
    """
    touched = 0.75 * 2.0 ** min(working_set, MAX_DIGITS)  # the middle of the numbers with so many digits
    return touched / (touched + FAR_BYTES)


def _is_near(name: str) -> bool:
    return not name.startswith((FAR, OWN))


@dataclass(frozen=True)
class _Group:
    """What a group of workloads shows between two states."""

    count: int
    log: float
    error: float  # standard error for one more workload

    @staticmethod
    def between(first: MachineState, second: MachineState, names: Sequence[str]) -> _Group:
        shifts = np.array([second.levels[name] - first.levels[name] for name in names])
        if len(shifts) < 2:
            return _Group(0, 0.0, 0.0)
        variance = float(np.var(shifts, ddof=1))
        really = max(0.0, variance - first.squared_noise(names) - second.squared_noise(names))
        return _Group(len(shifts), float(np.mean(shifts)), math.sqrt(variance / len(shifts) + really))


@dataclass(frozen=True)
class MachineState:
    """The logarithm of each control workload's seconds, by its name.

    Attributes:
        levels: the logarithms.
        left_out: workloads of which a profile has impossible seconds, which do not count.
        noise: by workload, how far a level is off because of its few samples: one draw of that error, where known.
    """

    levels: Mapping[str, float]
    left_out: tuple[str, ...] = ()
    noise: Mapping[str, float] = field(default_factory=dict)

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
                            noise=_noise(known))  # fmt: skip

    @staticmethod
    def of_pool(pool: Pool, usual: MachineState | None = None) -> MachineState:
        """While a pool was sampled. See ``of_seconds``."""
        return MachineState.of_seconds({**pool.controls, **pool.watching}, usual)

    @staticmethod
    def usual(states: Sequence[MachineState]) -> MachineState:
        """The median of several states, workload by workload."""
        names = sorted({name for state in states for name in state.levels})
        levels, noise = {}, {}
        for name in names:
            of_name = [state for state in states if name in state.levels]
            levels[name] = float(np.median([state.levels[name] for state in of_name]))
            wider = MEDIAN_ERROR if len(of_name) > 2 else 1.0  # a median of two is their mean
            squares = math.fsum(state.noise.get(name, 0.0) ** 2 for state in of_name)
            noise[name] = wider * math.sqrt(squares) / len(of_name)
        return MachineState(levels, noise=noise)

    @property
    def known(self) -> bool:
        """Whether enough control workloads were sampled."""
        return len([name for name in self.levels if _is_near(name)]) >= MIN_WORKLOADS

    def squared_noise(self, names: Sequence[str]) -> float:
        """The mean square of the noise of these workloads."""
        known = [self.noise[name] ** 2 for name in names if name in self.noise]
        return math.fsum(known) / len(known) if known else 0.0

    def to(self, other: MachineState, working_set: int) -> Shift | None:
        """The shift from this state to another.

        Args:
            other: a state of the same machine with as many threads.
            working_set: of the op calls that it is for, see ``far_share``.

        Returns:
            The mean of what the workloads show that both have, of each group by its share. Its interval is Student's t
            over the workloads, for one more of them: a model is another workload. What they differ by because of their
            few samples counts for the mean alone. None: they have fewer than ``MIN_WORKLOADS`` in common. Where they
            have no two from far memory, the others count alone. What differs by more than ``MAX_RATIO`` does not count.
            Where both have read the weights of one model, that counts in place of the workloads from far memory.
        """
        both = sorted(set(self.levels) & set(other.levels))
        names = [name for name in both if abs(other.levels[name] - self.levels[name]) <= math.log(MAX_RATIO)]
        near = _Group.between(self, other, [name for name in names if _is_near(name)])
        if near.count < MIN_WORKLOADS:
            return None
        far = self._beyond_caches(other, names, near)
        share = far_share(working_set) if far.count else 0.0
        error = math.sqrt(((1 - share) * near.error) ** 2 + (share * far.error) ** 2)
        freedom = near.count - 1 + max(0, far.count - 1)
        return Shift((1 - share) * near.log + share * far.log, student(freedom, 0.975) * error)

    def _beyond_caches(self, other: MachineState, names: Sequence[str], near: _Group) -> _Group:
        """What memory beyond the caches shows. Reading one model's weights may be as far off as a near workload is."""
        own = [name for name in names if name.startswith(OWN)]
        if not own:
            return _Group.between(self, other, [name for name in names if name.startswith(FAR)])
        log = float(np.mean([other.levels[name] - self.levels[name] for name in own]))
        noise = math.sqrt(self.squared_noise(own) + other.squared_noise(own))
        return _Group(len(own), log, math.hypot(near.error, noise))


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


def _noise(by_workload: Mapping[str, Samples]) -> dict[str, float]:
    """By workload: half of what the level of every other sample differs by from the rest's."""
    return {
        name: abs(_level(logs[::2]) - _level(logs[1::2])) / 2
        for name, logs in by_workload.items() if logs.size >= MIN_SAMPLES
    }  # fmt: skip


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
