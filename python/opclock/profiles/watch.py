"""Asks the kernel between the rounds of a block whether other programs disturbed them."""

from __future__ import annotations

from opclock.board.contention import Contention
from opclock.profiles.disturbance import Readings, disturbed

# Rounds of this time share a reading, which leaves the caches cold: a model of 13 µs was estimated 8 µs too high. And a
# thread that wakes up waits for some µs, much of a short round alone.
READ_EVERY_S = 0.01


def rounds_together(round_s: float) -> int:
    """How many rounds of this length, in seconds, share one reading. Where they are several, one before is not kept."""
    return max(1, int(READ_EVERY_S / max(round_s, 1e-9)))


class Watch:
    """The readings of one block, taken outside its timed windows: before its first round, and after one or several.

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

    def rounds_ended(self, count: int = 1, *, unkept: int = 0) -> None:
        """Take the reading after some rounds, each of which gets the mean; it is the one before the next, too.

        Args:
            count: how many ended.
            unkept: how many more ran among them that are not kept. They take part in the mean.
        """
        after = self._contention.read()
        self._readings.set(slice(self.rounds, self.rounds + count), self._before, after, unkept=unkept)
        self._before = after
        self.rounds += count

    @property
    def last_disturbed(self) -> bool:
        """Whether the last reading's rounds were disturbed. Stolen time is known only when the block has ended."""
        return bool(disturbed(self._readings.row(self.rounds - 1))[0])

    def block_ended(self) -> Readings:
        """The readings of the rounds that ended, with their parts of the stolen time."""
        self._contention.refresh()
        last = self._contention.read()
        readings = self._readings.first(self.rounds)
        readings.share_steal(last.wall_s - self._first.wall_s, last.steal_s - self._first.steal_s)
        return readings
