"""What a baseline has of a test, and how much slower the test's model is now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from opclock.board.identity import read_board
from opclock.errors import ProfileError
from opclock.flags import precision_flags
from opclock.profiles.machine import same_machine
from opclock.profiles.machine_state import MachineState
from opclock.profiles.maintenance import merge
from opclock.profiles.pool import Pool
from opclock.profiles.profile import Profile
from opclock.profiles.shift import Shift
from opclock.timing.reference import Reference

REFERENCE = "reference"  # in a pool's context
# Half the 95 % interval of what two processes of one model differ by, as a logarithm: their standard deviation is 1 to
# 3 % (docs/gate.md).
PROCESSES = 0.055


@dataclass(frozen=True)
class Slowdown:
    """How much slower real inference is than in the baseline, without the machine's part.

    Attributes:
        baseline_s: the median of the baseline, in seconds, for the machine's state of now.
        ratio: the time now / that; above 1 it is slower.
        low: lower end of its 95 % interval.
        high: the upper end.
        doubt: why the machine may be the cause; "" where it is not.
        machine: seconds of a kernel in the machine's state of now over those in the state of the baseline.
        imprecise: whether the baseline's own interval is too wide for its number.
    """

    baseline_s: float
    ratio: float
    low: float
    high: float
    doubt: str = ""
    machine: float = 1.0
    imprecise: bool = False

    @staticmethod
    def of(now: Reference, before: Timed, shift: Shift | None) -> Slowdown:
        """Compare two measurements.

        Args:
            now: real inference.
            before: the same, of the baseline.
            shift: from the machine's state then to that of now; None where it is not known.
        """
        doubt = "" if shift is not None else "the machine's state is not known"
        moved = shift or Shift()
        value = math.log(now.median_s / before.median_s) - moved.log
        mine, theirs = _halves(now.median_s, *now.interval_s), _halves(before.median_s, before.low_s, before.high_s)
        others = math.hypot(PROCESSES, moved.half_width)
        low, high = math.hypot(mine[0], theirs[1], others), math.hypot(mine[1], theirs[0], others)
        return Slowdown(
            before.median_s * moved.factor, math.exp(value), math.exp(value - low), math.exp(value + high),
            "other programs disturbed nearly all runs" if now.contended else doubt,
            moved.factor, bool(precision_flags(*before)),
        )  # fmt: skip

    def above(self, max_slowdown: float) -> bool:
        """Whether the whole interval is above what is allowed, a fraction."""
        return self.low > 1.0 + max_slowdown

    def verdict(self, max_slowdown: float) -> str:
        """Say "slower" if the whole interval is above what is allowed; else "faster", "same" or "undecided".

        Args:
            max_slowdown: the allowed one, a fraction.
        """
        if self.doubt:
            return "undecided"
        if self.high < 1.0:
            return "faster"
        if self.above(max_slowdown):
            return "slower"
        return "same" if self.high <= 1.0 + max_slowdown else "undecided"


class Timed(NamedTuple):
    """The median of real inference and its 95 % interval, in seconds, as a profile keeps them beside a pool."""

    median_s: float
    low_s: float
    high_s: float


def _halves(middle_s: float, low_s: float, high_s: float) -> tuple[float, float]:
    """Both halves of an interval, as logarithms."""
    return math.log(middle_s / low_s) if low_s > 0 else math.inf, math.log(high_s / middle_s)


@dataclass(frozen=True)
class Baseline:
    """A profile with the times that tests are compared with.

    Attributes:
        path: of the profile, which need not exist.
    """

    path: Path

    @property
    def _exists(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > 0

    def check(self) -> None:
        """Raise ProfileError where it cannot be read, or is of another machine."""
        if not self._exists:
            return
        with Profile.open(self.path) as profile:
            board, here = profile.board(), read_board()
        if not same_machine(board, here.to_json()):
            raise ProfileError(
                f"the baseline {self.path} is of another machine ({board['identity']}), this is {here.identity}: take "
                "the baseline on this one, in the same job"
            )

    def slowdown(self, name: str, reference: Reference, pool: Pool) -> Slowdown | None:
        """Compare with what it has of a test.

        Args:
            name: of the test.
            reference: real inference.
            pool: the op calls that were sampled in turn with it.

        Returns:
            The slowdown; None where it has nothing of this test.

        Raises:
            ProfileError: it cannot be read.
        """
        if not self._exists:
            return None
        wanted = (pool.condition.threads, pool.condition.device)
        with Profile.open(self.path) as profile:
            pools = (profile.pool(number) for number in profile.model_pools(name))
            before = next((one for one in pools if (one.condition.threads, one.condition.device) == wanted
                           and REFERENCE in one.context), None)  # fmt: skip
        if before is None:
            return None
        on_cpu = pool.condition.device == "cpu"
        states = MachineState.of_pool(before), MachineState.of_pool(pool)
        shift = states[0].to(states[1], pool.condition.working_set) if on_cpu else Shift()
        return Slowdown.of(reference, Timed(**before.context[REFERENCE]), shift)

    def keep(self, file: Path) -> None:
        """Take a measurement in. Raises ProfileError where that cannot be.

        Args:
            file: the profile that it is in.
        """
        with Profile.create_or_open(self.path, read_board()) as kept:
            merge(kept, file)
