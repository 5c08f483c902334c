"""Looking again and again until an interval is narrow must not make it hold less often."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.stability.coverage import autoregressive, held_when_stopped, states
from opclock.timing.stopping import FIRST_LOOK, Looks, is_over

TRIALS = 1000


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("draw", [autoregressive(0.0), autoregressive(0.3), autoregressive(0.6), states(6)])
def test_repeated_looks_do_not_lower_the_coverage(draw, numbered):
    """With a look every 5 rounds, 86 % held at a correlation of 0.6, and 80 % with states of 6 rounds."""
    hits = sum(holds for holds, _, _ in held_when_stopped(draw, 0.02, TRIALS, numbered=numbered))
    assert hits >= 0.93 * TRIALS - 3 * np.sqrt(TRIALS * 0.93 * 0.07) * 0.5


def test_too_few_looks_settle_nothing():
    looks = Looks()
    assert not looks.settled(np.ones(FIRST_LOOK))
    assert not looks.settled(np.ones(2 * FIRST_LOOK))
    assert not looks.settled(np.ones(2 * FIRST_LOOK + 1))  # no look of its own
    assert looks.settled(np.ones(3 * FIRST_LOOK))
    assert looks.settled(np.ones(3 * FIRST_LOOK))  # asked again: the same answer


@pytest.mark.parametrize(("share", "limited", "clean", "settled", "over"), [
    (0.5, False, True, False, False),
    (0.5, False, True, True, True),
    (0.5, False, False, True, False),
    (1.0, False, True, False, True),
    (1.0, False, False, True, False),  # goes on for the sake of clean rounds
    (2.9, False, False, False, False),
    (3.0, False, False, False, True),
    (1.0, True, False, False, True),
])  # fmt: skip
def test_sampling_ends_when_all_is_settled_or_the_time_is_up(share, limited, clean, settled, over):
    assert is_over(share, limited=limited, clean=clean, settled=settled) == over
