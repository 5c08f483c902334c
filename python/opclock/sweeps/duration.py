"""How long sweeps take, from a board's ceilings and from predictions."""

from __future__ import annotations

import random
from collections.abc import Sequence

from opclock.prediction.ceilings import Ceilings
from opclock.sweeps.amount import FOR_PREDICTORS, FOR_ROWS, Amount
from opclock.sweeps.binding import Planned
from opclock.sweeps.grouping import grouped, working_sets
from opclock.timing.memory_budget import memory_budget_bytes
from opclock.tracing.trace import TracedCall

# From a sweep of 5,000 kernels on a two-core x86-64 machine.
WARM_UP_ROUNDS, USUAL_SHARE, MIN_S, BINDING_S = 8, 0.3, 1e-5, 0.006
NETWORK_S = 1.2  # to draw, trace and time one
KERNEL_S = 0.1  # to time one of the preset for predictors, which shares its pool with others


def usual_s(traced: TracedCall, ceilings: Ceilings) -> float:
    """Seconds that a kernel takes, about, as far as the ceilings alone say it."""
    return ceilings.call_s(traced) / USUAL_SHARE + MIN_S


def kernel_cost_s(seconds: float, amount: Amount) -> float:
    """Seconds for timing a kernel that takes so many seconds; one round of each block is not kept."""
    return (amount.blocks * (amount.most + 1) + WARM_UP_ROUNDS) * (seconds + MIN_S) + BINDING_S


def expected_s(planned: Sequence[Planned], ceilings: Ceilings, *, seed: int = 0, networks: int = 0) -> float:
    """Predict how long a sweep on the CPU takes where no other program disturbs it, from the board's ceilings.

    Args:
        planned: the kernels.
        ceilings: of the board.
        seed: see ``run_sweep``.
        networks: random ones between the kernels, which are then timed as predictors need it.

    Returns:
        Seconds, approximately.
    """
    amount = FOR_PREDICTORS if networks else FOR_ROWS
    pools = grouped(planned, working_sets(networks > 0), random.Random(seed), memory_budget_bytes("cpu"))
    return networks * NETWORK_S + sum(_expected_pool_s(pool, ceilings, amount) for pool in pools)


def share_done(kernels: float, of_kernels: int, networks: int, of_networks: int) -> float:
    """How much of a sweep for predictors is done, as a fraction of its time: kernels and networks, both of how many."""
    done_s, all_s = (KERNEL_S * kernels + NETWORK_S * networks, KERNEL_S * of_kernels + NETWORK_S * of_networks)
    return done_s / all_s if all_s else 1.0


def _expected_pool_s(pool: Sequence[Planned], ceilings: Ceilings, amount: Amount) -> float:
    round_s = sum(usual_s(one.traced, ceilings) for one in pool)
    rounds = amount.blocks * (amount.in_block(round_s) + 1) + WARM_UP_ROUNDS  # one of each block is not kept
    return rounds * round_s + BINDING_S * len(pool)
