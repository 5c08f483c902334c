"""Which of a profile's pools an op call's time is taken from."""

from __future__ import annotations

from opclock.condition import Condition
from opclock.measurement import Pool
from opclock.profile_reader import Candidate, ProfileReader
from opclock.trace import Trace


def choose_pools(trace: Trace, profile: ProfileReader, condition: Condition) -> dict[str, Pool]:
    """For each op call the pool to take it from: the nearest working set, ended before interrupted, then the newest."""
    found = profile.candidates(condition.timing, condition.device, condition.threads, trace.unique)
    best: dict[str, Candidate] = {}
    for one in sorted(found, key=lambda one: (abs(one.working_set - condition.working_set), not one.ended, -one.pool)):
        best.setdefault(one.key, one)
    pools = {number: profile.pool(number) for number in sorted({one.pool for one in best.values()})}
    return {key: pools[one.pool] for key, one in best.items()}
