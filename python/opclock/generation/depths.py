"""How the time of one token depends on the depth: by op call constant, linear or a step, fitted on measured depths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from opclock.errors import EstimateError
from opclock.estimation.result import Estimate
from opclock.generation.roles import HOST, roles
from opclock.tracing.trace import Trace

Kind = Literal["constant", "linear", "step"]
Floats = npt.NDArray[np.float64]

MIN_STEP_DEPTHS = 3  # a line goes through two depths whatever happens between them
STEP_MISFIT = 0.05  # of an op call's mean time: a line that misses by less is kept, as noise alone misses by that
STEP_GAIN = 0.5  # a step must leave less than this fraction of what a line misses by


@dataclass(frozen=True)
class Law:
    """The time of one op call by depth.

    Attributes:
        kind: constant, linear or a step.
        at_zero_s: seconds at depth 0; of a step, those before it.
        slope_s: seconds for each token of depth; of a step, what it adds.
        step_depth: of a step: the middle between the two measured depths around it.
    """

    kind: Kind
    at_zero_s: float
    slope_s: float = 0.0
    step_depth: float = 0.0

    def seconds(self, depths: Floats) -> Floats:
        """Seconds at each of these depths."""
        if self.kind == "step":
            return self.at_zero_s + self.slope_s * (depths > self.step_depth).astype(float)
        return self.at_zero_s + self.slope_s * depths


def fit(depths: Sequence[int], seconds: Sequence[float], *, varies: bool) -> Law:
    """Fit the time of one op call.

    Args:
        depths: at which it was measured, rising.
        seconds: at each of them.
        varies: whether its arguments depend on the depth.

    Returns:
        The mean where nothing depends on the depth. Else the least-squares line; or a step between two neighbouring
        depths, where the line misses by more than STEP_MISFIT and the step by far less.
    """
    times = np.array(seconds, dtype=float)
    mean = float(times.mean())
    if not varies or len(depths) == 1:
        return Law("constant", mean)
    slope, at_zero = (float(number) for number in np.polyfit(depths, times, 1))
    line = Law("linear", at_zero, slope)
    missed = _missed(line, depths, times)
    if len(depths) < MIN_STEP_DEPTHS or missed <= STEP_MISFIT * mean:
        return line
    steps = [_step(depths, times, place) for place in range(1, len(depths))]
    best = min(steps, key=lambda law: _missed(law, depths, times))
    return best if _missed(best, depths, times) < STEP_GAIN * missed else line


def _step(depths: Sequence[int], times: Floats, place: int) -> Law:
    before, after = float(times[:place].mean()), float(times[place:].mean())
    return Law("step", before, after - before, (depths[place - 1] + depths[place]) / 2)


def _missed(law: Law, depths: Sequence[int], times: Floats) -> float:
    """The largest difference in seconds."""
    return float(np.abs(law.seconds(np.array(depths, dtype=float)) - times).max())


@dataclass(frozen=True)
class Measured:
    """The program of one token at one depth, and its estimate."""

    depth: int
    trace: Trace
    estimate: Estimate

    @cached_property
    def program(self) -> tuple[tuple[str, str], ...]:
        """Which operators run in which modules."""
        return tuple((traced.module, traced.call.operator) for traced in self.trace.calls)

    @cached_property
    def seconds(self) -> list[float]:
        """By op call, and the host last. They add up to the estimate."""
        return [*(part.kernel_s or 0.0 for part in self.estimate.parts), self.estimate.host_s]


@dataclass(frozen=True)
class _Piece:
    """The measured depths in a row in which the program is the same, with a law for each op call and the host."""

    measured: Sequence[Measured]
    laws: tuple[Law, ...]

    @staticmethod
    def of(measured: Sequence[Measured]) -> _Piece:
        depths = [one.depth for one in measured]
        specs = [tuple(traced.call.key for traced in one.trace.calls) for one in measured]
        varying = [len(set(keys)) > 1 for keys in zip(*specs, strict=True)]
        columns = zip(*(one.seconds for one in measured), strict=True)
        laws = (fit(depths, seconds, varies=varies) for seconds, varies in zip(columns, [*varying, False], strict=True))
        return _Piece(measured, tuple(laws))

    @cached_property
    def roles(self) -> list[str]:
        """By law."""
        return [*roles(self.measured[0].trace), HOST]


class DepthCurve:
    """The time of one token at each depth between measured ones.

    Where the operators themselves change with the depth, the curve has one piece before and one after, and changes in
    the middle between the two measured depths.
    """

    def __init__(self, measured: Sequence[Measured]) -> None:
        """Fit the laws.

        Args:
            measured: at least one depth.

        Raises:
            EstimateError: there is none.
        """
        if not measured:
            raise EstimateError("no depth was measured")
        ordered = sorted(measured, key=lambda one: one.depth)
        starts = [0, *(i for i in range(1, len(ordered)) if ordered[i].program != ordered[i - 1].program)]
        groups = [ordered[first:last] for first, last in zip(starts, [*starts[1:], len(ordered)], strict=True)]
        self._pieces = [_Piece.of(group) for group in groups]
        self._ends = [
            (one.measured[-1].depth + other.measured[0].depth) / 2
            for one, other in zip(self._pieces, self._pieces[1:], strict=False)
        ]

    def seconds(self, depths: Sequence[int]) -> Floats:
        """Seconds of one token at each of these depths."""
        return np.asarray(sum(self.by_role(depths).values()))

    def by_role(self, depths: Sequence[int]) -> dict[str, Floats]:
        """Seconds of one token at each of these depths by what they are spent on, see ``roles``."""
        wanted = np.array(depths, dtype=float)
        piece_at = np.searchsorted(self._ends, wanted, side="left")
        found: dict[str, Floats] = {}
        for number, piece in enumerate(self._pieces):
            here = piece_at == number
            for role, law in zip(piece.roles, piece.laws, strict=True):
                seconds = found.setdefault(role, np.zeros(len(wanted)))
                seconds[here] += law.seconds(wanted[here])
        return found

    @property
    def kinds(self) -> dict[Kind, int]:
        """How many op calls have a law of each kind, in all pieces."""
        kinds: dict[Kind, int] = {}
        for piece in self._pieces:
            for law in piece.laws[:-1]:  # without the host
                kinds[law.kind] = kinds.get(law.kind, 0) + 1
        return kinds

    def misfit(self, held_out: Measured) -> float:
        """The curve at a depth that it was not fitted on, over the time measured there, - 1."""
        return float(self.seconds([held_out.depth])[0]) / held_out.estimate.total_s - 1.0
