"""How fast the machine was while two pools were sampled, by the control workloads between their blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opclock.profiles.pool import Pool
from opclock.profiles.statistics import NORMAL_MAD, Samples, log_fast
from opclock.profiles.verdicts import centre

# Standard deviation of a model's time from one minute to another on one shared machine, in logarithms: without control
# workloads a difference may be the machine's by as much.
UNSEEN = 0.10
MAX_RATIO = (
    100.0  # of a workload's seconds to the usual ones, or under them: no two states of one machine are so far apart
)
MIN_WORKLOADS = 3  # fewer do not show a mean of kernels


@dataclass(frozen=True)
class Machine:
    """The machine's part of the difference between two pools."""

    shift: float = 0.0  # logarithm of how much slower it was in the second pool
    error: float = 0.0  # standard error of that
    residuals: Samples = field(default_factory=lambda: np.empty(0))  # each control workload's shift, less the machine's
    note: str = ""  # for the reason beside a verdict
    left_out: tuple[str, ...] = ()  # control workloads with impossible seconds, which do not count

    @property
    def known(self) -> bool:
        """Whether control workloads show it."""
        return self.residuals.size > 0

    @staticmethod
    def between(first: Pool, second: Pool) -> Machine:
        """The difference between two pools of one machine, by the control workloads that both have."""
        fast = _fast(first), _fast(second)
        both = {name: fast[1][name] - fast[0][name] for name in sorted(set(fast[0]) & set(fast[1]))}
        near = np.median(list(both.values())) if both else 0.0
        possible = {name: shift for name, shift in both.items() if abs(shift - near) <= np.log(MAX_RATIO)}
        left_out = tuple(sorted({*_impossible(first), *_impossible(second), *(set(both) - set(possible))}))
        shifts = np.array(list(possible.values()))
        if shifts.size < MIN_WORKLOADS:
            note = f"; no control workloads, so the machine's part is not known{_names(left_out)}"
            return Machine(error=UNSEEN, note=note, left_out=left_out)
        shift = centre(shifts)
        residuals = shifts - shift
        error = NORMAL_MAD * float(np.median(np.abs(residuals))) / np.sqrt(shifts.size)
        return Machine(shift, float(error), residuals, _note(shift, left_out), left_out)


def together(machines: Sequence[Machine]) -> list[Machine]:
    """Move the machine's parts of pairs of pools that were taken in the same minutes towards their mean.

    A pool of half a second has one sample of the control workloads, which is mostly noise. So each pair's own part
    counts only as far as the pairs differ by more than their errors (James and Stein 1961).

    Args:
        machines: one for each pair of pools.

    Returns:
        The same, in the same order. Those without control workloads stay as they are.
    """
    known = [machine for machine in machines if machine.known]
    if not known:
        return list(machines)
    shifts, squares = np.array([one.shift for one in known]), np.array([one.error**2 for one in known])
    mean = centre(shifts)
    spread = max(0.0, float(np.median((shifts - mean) ** 2)) * NORMAL_MAD**2 - float(np.mean(squares)))
    of_mean = (spread + float(np.mean(squares))) / len(known)
    return [_moved(machine, mean, spread, of_mean) if machine.known else machine for machine in machines]


def _moved(machine: Machine, mean: float, spread: float, of_mean: float) -> Machine:
    total = spread + machine.error**2
    own = spread / total if total > 0 else 0.0
    shift = own * machine.shift + (1 - own) * mean
    error = float(np.sqrt(own * machine.error**2 + (1 - own) ** 2 * of_mean))
    return replace(machine, shift=shift, error=error, note=_note(shift, machine.left_out))


OTHER_BOARD = Machine(note="; the boards differ, and nothing is taken off")
ON_A_DEVICE = Machine(note="; control workloads show the host alone, and nothing is taken off")


def same_machine(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two descriptions of boards are of one machine, perhaps with another torch or other cores allowed."""
    # An older profile may lack a fact that is empty.
    names = ("machine", "model", "cpu_parts", "cores", "allowed", "emulator")
    return all(_plain(first.get(name)) == _plain(second.get(name)) for name in names)


def _plain(fact: object) -> object:
    """A fact as JSON gives it back; None where it is empty."""
    return (list(fact) if isinstance(fact, tuple) else fact) or None


def _fast(pool: Pool) -> dict[str, float]:
    """By the control workload's name: the logarithm of its fast seconds, as those of op calls."""
    sampled = {name: seconds[np.isfinite(seconds) & (seconds > 0)] for name, seconds in pool.controls.items()}
    return {name: log_fast(seconds) for name, seconds in sampled.items() if seconds.size}


def _impossible(pool: Pool) -> list[str]:
    """The control workloads with seconds that are infinite or not above 0. NaN stands where none was sampled."""
    return [name for name, seconds in pool.controls.items() if np.any((seconds <= 0) | np.isinf(seconds))]


def _note(shift: float, left_out: Sequence[str]) -> str:
    if abs(shift) < 0.005:
        return f"; the machine was as fast in both{_names(left_out)}"
    change = f"{abs(np.expm1(shift)):.1%} {'slower' if shift > 0 else 'faster'}"
    return f"; the machine was {change}, which is taken off{_names(left_out)}"


def _names(left_out: Sequence[str]) -> str:
    return f"; control workloads with impossible seconds do not count: {', '.join(left_out)}" if left_out else ""
