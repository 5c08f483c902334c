"""The statistics behind a comparison of two profiles: many op calls at once, each with a few blocks of rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit  # scipy.stats takes half a second to import

from opclock.profiles.statistics import Samples

# Two kernels closer than 5 % count as the same: interleaved repetitions of one model differ by 1 to 5 %, so a smaller
# difference says little about the next run.
EQUAL = 0.05
FALSE_CHANGES, FALSE_SAME = 0.01, 0.05  # at most these shares of the verdicts of one kind may be wrong
# From pool to pool: medians of processes of one model differed by 0.7 % to 3 %. Where it is large, the table shows it.
LEAST_SPREAD, USUAL_SPREAD, ENOUGH_ROWS = 0.007, 0.015, 20
BLOCK_FREEDOM = 4  # how many degrees of freedom the table's typical block spread adds to that of one row
QUARTER = 0.3186  # a quarter of normal numbers with a standard deviation of 1 are closer to 0
TRIMMED, OF_TRIMMED = 2.5, 0.918  # the standard deviation of normal numbers without those beyond 2.5 is 0.958
PASSES = 20


@dataclass(frozen=True)
class Shift:
    """How one op call differs between two pools, in natural logarithms of time (second minus first)."""

    value: float  # the Hodges-Lehmann estimate from the blocks, without the machine's part
    within: float  # variance between blocks of one pool; NaN where neither pool has two
    blocks: tuple[int, int]  # in each pool
    machine: float = 0.0  # the standard error of the machine's part
    identical: bool = False  # both sides are the same samples
    paired: bool = False  # from differences of blocks that were taken next to each other, equally many in each pool


@dataclass(frozen=True)
class Judged:
    """The verdicts on all rows of a table, by row."""

    low: Samples  # ends of the 95 % interval of the shift
    high: Samples
    words: list[str]  # same, faster, slower or undecided
    spread: float  # standard deviation of a shift from one pair of pools to another


def hodges_lehmann(first: Samples, second: Samples) -> float:
    """The median of all differences second - first (Hodges and Lehmann 1963): a shift by ranks."""
    return float(np.median(np.subtract.outer(second, first)))


def centre(values: Samples) -> float:
    """The median of all means of two values (Hodges and Lehmann 1963): outliers move it little."""
    return float(np.median(np.add.outer(values, values)[np.triu_indices(values.size)]) / 2)


def adjusted(probabilities: Samples) -> Samples:
    """Adjust p values so that those below a level hold the false discovery rate at it (Benjamini, Hochberg 1995)."""
    order = np.argsort(probabilities)[::-1]
    scaled = probabilities[order] * probabilities.size / np.arange(probabilities.size, 0, -1)
    result = np.empty_like(scaled)
    result[order] = np.minimum.accumulate(np.minimum(scaled, 1.0))
    return result


def judge(shifts: list[Shift], controls: Samples) -> Judged:
    """Judge all rows of a table together.

    The variance of a shift has three parts: between blocks (the row's own and the table's typical one, weighted by
    their degrees of freedom as in Smyth 2004), from pool to pool (``pool_spread``), and of the machine's part. A row is
    the same where two one-sided tests (Schuirmann 1987) show that it is within ``EQUAL``; else faster or slower where a
    test of Student's shows that it is not 0. The false discovery rate of
    each kind of verdict is held to ``FALSE_CHANGES`` and ``FALSE_SAME``.

    Args:
        shifts: one for each row.
        controls: by how much control workloads differ between the same pools, less the machine's part.

    Returns:
        The verdicts, by row.
    """
    value = np.array([one.value for one in shifts])
    machine = np.array([one.machine for one in shifts])
    within, freedom = _between_blocks(shifts)
    unchanged = np.concatenate([value, controls]), np.concatenate([within, np.zeros(controls.size)])
    spread = pool_spread(*unchanged, reach=2 * float(np.median(machine)))
    error = np.sqrt(within + machine**2 + spread**2)
    differs = adjusted(2 * stdtr(freedom, -np.abs(value) / error))
    equal = adjusted(stdtr(freedom, (np.abs(value) - np.log1p(EQUAL)) / error))
    identical = np.array([one.identical for one in shifts])
    half = np.where(identical, 0.0, stdtrit(freedom, 0.975) * error)
    same = identical | (equal <= FALSE_SAME)
    changed = np.where(value < 0, "faster", "slower")
    words = np.where(same, "same", np.where(differs <= FALSE_CHANGES, changed, "undecided"))
    return Judged(value - half, value + half, words.tolist(), spread)


def _between_blocks(shifts: list[Shift]) -> tuple[Samples, Samples]:
    """By row: the variance of its shift that the blocks show, and its degrees of freedom."""
    counts = np.array([one.blocks for one in shifts], dtype=float)
    own = np.array([one.within for one in shifts])
    known = np.isfinite(own)
    paired = np.array([one.paired for one in shifts])
    freedom = np.where(known, np.where(paired, counts[:, 0] - 1, counts.sum(axis=1) - 2), 0.0)
    typical = float(np.median(own[known])) if known.any() else LEAST_SPREAD**2
    variance = (freedom * np.where(known, own, 0.0) + BLOCK_FREEDOM * typical) / (freedom + BLOCK_FREEDOM)
    return variance * (1 / counts).sum(axis=1), freedom + BLOCK_FREEDOM


def pool_spread(value: Samples, within: Samples, reach: float) -> float:
    """How much a shift varies from one pair of pools to another where nothing changed: a standard deviation.

    Rows that changed must not widen it. So it begins with the quarter of the rows that are closest to 0, and goes on
    with those within 2.5 standard deviations (an empirical null, Efron 2004). Up to half of the rows may have changed.

    Args:
        value: the shifts of the rows and of the control workloads.
        within: their variances from the blocks.
        reach: by so much at most may the unchanged rows be off 0 together, because the machine's part is not exact.

    Returns:
        The standard deviation, in logarithms; a usual one with fewer than ``ENOUGH_ROWS`` shifts.
    """
    if value.size < ENOUGH_ROWS:
        return USUAL_SPREAD
    middle, least = 0.0, LEAST_SPREAD**2
    variance = max(least, (float(np.quantile(np.abs(value), 0.25)) / QUARTER) ** 2 - float(np.median(within)))
    for _ in range(PASSES):
        unchanged = np.abs(value - middle) <= TRIMMED * np.sqrt(variance + within)
        if not unchanged.any():
            break
        middle = float(np.clip(np.median(value[unchanged]), -reach, reach))
        squares = (value[unchanged] - middle) ** 2 / OF_TRIMMED - within[unchanged]
        variance = max(least, float(np.mean(squares)))
    return float(np.sqrt(variance))


def median_by_block(samples: Samples, blocks: npt.NDArray[np.int_]) -> Samples:
    """By block: the median of its rounds' samples (rounds x positions)."""
    return np.array([np.median(samples[blocks == block]) for block in np.unique(blocks)])
