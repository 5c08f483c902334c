"""A board that was throttled before, after or in between is flagged; one that was long before is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opclock.board.state import BoardState
from opclock.timing.flags import throttle_flags

CALM = BoardState({}, (), {}, (), 0.0, (0,))
LONG_AGO = "throttling has occurred"


@pytest.mark.parametrize(("before", "after", "throttled"), [
    ((), (), False),
    ((LONG_AGO,), (LONG_AGO,), False),
    (("throttled",), (), True),
    ((), ("slowed to cool: cpu 1 of 4",), True),
    ((), (LONG_AGO,), True),  # newly set: it was throttled in between, though not at either end
])  # fmt: skip
def test_throttled(before, after, throttled):
    states = replace(CALM, throttle=before), replace(CALM, throttle=after)
    assert bool(throttle_flags(*states)) == throttled
