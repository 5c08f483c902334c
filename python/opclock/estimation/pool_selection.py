"""Chooses the pool that the time of an op call is taken from."""

from __future__ import annotations

from collections import Counter

from opclock.profiles.condition import Condition
from opclock.profiles.pool import Pool
from opclock.profiles.pool_reader import PoolMatch
from opclock.profiles.reader import ProfileReader
from opclock.tracing.trace import Trace


def choose_pools(trace: Trace, profile: ProfileReader, condition: Condition) -> dict[str, Pool]:
    """Choose a pool for each op call of a model.

    The nearest working set comes first, then ended before interrupted pools. Then comes the pool with the most op calls
    of the model, because common rounds keep the noise that op calls share. Of equals, the newest pool counts.

    Args:
        trace: the model.
        profile: the measurements.
        condition: the condition wanted; timing, device and threads must be equal.

    Returns:
        Pools by the key of the op call. Op calls without a measurement are left out.
    """
    matches = profile.pool_matches(condition.timing, condition.device, condition.threads, trace.unique)
    shared = Counter(one.pool for one in matches)

    def order(one: PoolMatch) -> tuple[int, bool, int, float, int]:
        away = abs(one.working_set - condition.working_set)
        return away, not one.ended, -shared[one.pool], -one.started, -one.pool

    best: dict[str, PoolMatch] = {}
    for one in sorted(matches, key=order):
        best.setdefault(one.key, one)
    pools = {number: profile.pool(number) for number in sorted({one.pool for one in best.values()})}
    return {key: pools[one.pool] for key, one in best.items()}
