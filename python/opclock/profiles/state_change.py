"""Takes a profile's numbers to one state of the machine. Needs no torch."""

from __future__ import annotations

import math

from opclock.errors import EstimateError
from opclock.formatting import counted
from opclock.profiles.machine import UNSEEN
from opclock.profiles.machine_state import MachineState, usual_state
from opclock.profiles.pool import Pool
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import Shift
from opclock.profiles.statistics import TWO_SIDED_95


class StateChange:
    """Multiplies the seconds of pools by what their control workloads differ from those of one state.

    Attributes:
        known: whether the profile has control workloads.
        left_out: those of which it has impossible seconds, or of which the state's profile has.
    """

    def __init__(self, profile: ProfileReader, threads: int, state: MachineState | None = None) -> None:
        """Choose the state.

        Args:
            profile: the measurements; only read.
            threads: PyTorch's.
            state: of the same machine with as many threads; None: the usual one of this profile.

        Raises:
            EstimateError: a state is given, and it or the profile has too few control workloads.
        """
        usual = profile.remembered(("usual state", threads), lambda: usual_state(profile, threads))
        if state is not None and usual.to(state, 0) is None:
            raise EstimateError(
                f"{profile.path} has no control workloads with {counted(threads, 'thread')} that show the machine's "
                "state, or they differ from the wanted one's by more than a machine can; "
                "measure the model again, into a new profile, or leave the state out"
            )
        self.known = usual.known
        self.left_out = tuple(sorted({*usual.left_out, *(() if state is None else state.left_out)}))
        self._usual = usual
        self._state = state or usual
        self._asked = state is not None
        self._done: dict[int, Pool] = {}

    def from_usual(self, working_set: int) -> Shift:
        """The shift from the usual state of the profile, for op calls of this working set (see ``far_share``)."""
        return self._usual.to(self._state, working_set) or Shift()

    def shift_from(self, state: MachineState, working_set: int) -> Shift | None:
        """The shift from another state of the machine.

        Args:
            state: in which something was timed. Where it is not known, it counts as the usual one; that it may be
                another is in the interval.
            working_set: of the op calls that the shift is for, see ``far_share``.

        Returns:
            The shift to this state; None where neither is known and none was asked for.
        """
        shift = state.to(self._state, working_set)
        if shift is None and self._asked:
            usual = self.from_usual(working_set)
            return Shift(usual.log, math.hypot(usual.half_width, TWO_SIDED_95 * UNSEEN))
        return shift

    def of(self, pool: Pool) -> Pool:
        """The pool in that state.

        A pool without control workloads counts as one of the usual state; that it may be another is in the interval.
        Kernels of a device beside the host stay as they are: control workloads show the host alone.
        """
        if pool.shift is not None or pool.condition.device != "cpu":
            return pool
        if pool.number not in self._done:
            shift = self.shift_from(MachineState.of_pool(pool, self._usual), pool.condition.working_set)
            self._done[pool.number] = pool if shift is None else pool.shifted(shift)
        return self._done[pool.number]
