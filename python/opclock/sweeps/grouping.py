"""Groups the kernels of a sweep into pools of kernels with similar size, in random order."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence

from opclock.sweeps.binding import Planned

POOL_BYTES = 1 << 27  # that a pool touches at most: as many as a large model
# Working sets of pools for predictors: they decide which caches hold the weights, as in a model.
WORKING_SETS = (1 << 22, 1 << 24, 1 << 26)
POOL_CALLS = 64  # op calls in a pool, at most: enough to displace a kernel's last sample from the caches
MAX_KINDS = 4  # kinds of kernels in a pool: models also repeat a few kinds, and find their code in the caches
SPREAD = 2.0  # standard deviation of the sizes of kernels in a pool, in doublings; about as in a model
# Pools whose blocks take turns: a slow second of the machine then falls on one or two blocks of each, not on all.
TOGETHER = 8
MIN_POOL_RATIO = 4  # a pool's bytes over the bytes of each of its kernels


def working_sets(as_in_models: bool) -> tuple[int, ...]:
    """Possible bytes of a pool, see ``run_sweep``."""
    return WORKING_SETS if as_in_models else (POOL_BYTES,)


def grouped(
    planned: Sequence[Planned], working_sets: Sequence[int], random_: random.Random, max_bytes: int
) -> Iterator[list[Planned]]:
    """Divide kernels into pools of similar sizes.

    Large kernels would displace the code and data of small ones from the caches, which few models do.

    Args:
        planned: all kernels.
        working_sets: possible bytes of a pool. Each kernel gets a random one that is much larger than the kernel.
        random_: makes all random choices.
        max_bytes: bytes that a pool may touch at most, even with a larger working set.

    Returns:
        Each kernel once, in pools of at most 64.
    """
    by_size: dict[int, list[Planned]] = {}
    for kernel in random_.sample(planned, len(planned)):
        large_enough = [size for size in working_sets if kernel.nbytes * MIN_POOL_RATIO <= size]
        size = random_.choice(large_enough) if large_enough else max(working_sets)
        by_size.setdefault(size, []).append(kernel)
    for members in by_size.values():
        members.sort(key=lambda kernel: math.log2(1 + kernel.nbytes) + random_.gauss(0.0, SPREAD))
    pools = [pool for size, members in by_size.items() for pool in _cut(members, min(size, max_bytes))]
    yield from random_.sample(pools, len(pools))


def _cut(members: Sequence[Planned], max_bytes: int) -> Iterator[list[Planned]]:
    """Divide into pools of few kinds, each as full as the limits of calls and bytes allow."""
    rest = list(members)
    while rest:
        kinds = list(dict.fromkeys(_kind(kernel) for kernel in rest))[:MAX_KINDS]
        pool: list[Planned] = []
        left: list[Planned] = []
        weights = activations = 0
        for kernel in rest:
            own = kernel.weight_bytes
            other = max(activations, kernel.nbytes - own)
            fits = len(pool) < POOL_CALLS and weights + own + other <= max_bytes
            if _kind(kernel) in kinds and (fits or not pool):
                pool.append(kernel)
                weights, activations = weights + own, other
            else:
                left.append(kernel)
        yield pool
        rest = left


def windows(pools: Iterable[list[Planned]], max_bytes: int) -> Iterator[list[list[Planned]]]:
    """Divide pools into groups whose blocks take turns, and which fit into memory together."""
    window: list[list[Planned]] = []
    for pool in pools:
        if window and (len(window) == TOGETHER or sum(map(touched_bytes, [*window, pool])) > max_bytes):
            yield window
            window = []
        window.append(pool)
    if window:
        yield window


def _kind(kernel: Planned) -> tuple[str, object]:
    return kernel.configuration.family, dict(kernel.configuration.parameters).get("operator")


def touched_bytes(pool: Sequence[Planned]) -> int:
    """Bytes that one round of a pool touches: every weight, and the activations of the largest call."""
    weights = sum(kernel.weight_bytes for kernel in pool)
    return weights + max(kernel.nbytes - kernel.weight_bytes for kernel in pool)
