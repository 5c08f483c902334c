"""Which of a profile's pools an op call's time is taken from."""

from __future__ import annotations

from collections import Counter

from opclock.profiles.condition import Condition
from opclock.profiles.pool import Pool
from opclock.profiles.reader import PoolMatch, ProfileReader
from opclock.tracing.trace import Trace


def choose_pools(trace: Trace, profile: ProfileReader, condition: Condition) -> dict[str, Pool]:
    """For each op call the pool to take it from.

    The nearest working set first, ended before interrupted, then the one with the most of the model's op calls (their
    common rounds keep the noise that they share), then the newest.

    Args:
        trace: the model.
        profile: the measurements.
        condition: that the pools should be of; timing, device and threads must be equal.

    Returns:
        Pools by the key of the op call, without op calls that were never measured so.
    """
    matches = profile.pool_matches(condition.timing, condition.device, condition.threads, trace.unique)
    shared = Counter(one.pool for one in matches)

    def order(one: PoolMatch) -> tuple[int, bool, int, int]:
        return abs(one.working_set - condition.working_set), not one.ended, -shared[one.pool], -one.pool

    best: dict[str, PoolMatch] = {}
    for one in sorted(matches, key=order):
        best.setdefault(one.key, one)
    pools = {number: profile.pool(number) for number in sorted({one.pool for one in best.values()})}
    return {key: pools[one.pool] for key, one in best.items()}
