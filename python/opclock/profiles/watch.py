"""Asks the kernel around each round of a block whether other programs disturbed it."""

from __future__ import annotations

from opclock.board.contention import Contention
from opclock.profiles.disturbance import Readings, disturbed


class Watch:
    """The readings of one block, taken outside its timed windows: before its first round, and after each.

    Args:
        contention: reads the counters of this process; blocks in a row share it.
        rounds: how many rounds the block has at most.
    """

    def __init__(self, contention: Contention, rounds: int) -> None:
        self._contention = contention
        self._readings = Readings.unknown(rounds)
        self.rounds = 0  # that ended so far
        contention.refresh()
        self._first = self._before = contention.read()

    def round_ended(self) -> None:
        """Take the reading after a round; it is the one before the next, too."""
        after = self._contention.read()
        self._readings.set(self.rounds, self._before, after)
        self._before = after
        self.rounds += 1

    @property
    def last_disturbed(self) -> bool:
        """Whether the last round was disturbed. Stolen time is known only when the block has ended."""
        return bool(disturbed(self._readings.row(self.rounds - 1))[0])

    def block_ended(self) -> Readings:
        """The readings of the rounds that ended, with their parts of the stolen time."""
        self._contention.refresh()
        last = self._contention.read()
        readings = self._readings.first(self.rounds)
        readings.share_steal(last.wall_s - self._first.wall_s, last.steal_s - self._first.steal_s)
        return readings
