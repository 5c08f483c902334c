"""The statistics behind a comparison of two profiles: many op calls at once, each with a few blocks of rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats takes half a second to import

from opclock.profiles.statistics import Samples

# Two kernels closer than 10 % count as the same. The fast rounds of two profiles of one shared machine differed by
# 1.5 % in the median row, but by over 8 % in one row of ten (docs/method.md): a smaller margin could not be shown.
EQUAL = 0.10
# At most 2 % of the verdicts faster and slower are due to chance: where half of the rows changed, and all of these are
# found, that is 1 % of the unchanged rows with Benjamini and Hochberg's procedure, which counts all rows as unchanged.
FALSE_CHANGES = 0.02
FALSE_SAME = 0.05  # of the rows that differ by more than EQUAL
LEAST_SPREAD, USUAL_SPREAD, ENOUGH_ROWS = 0.007, 0.03, 20  # from profile to profile; the usual one without enough rows
# Batches of one profile are alike, because the machine's states outlast it. Where they give a standard error of 1, 2, 4
# and 8 %, rows scattered by 1.6, 3.3, 6.4 and 11 % from profile to profile. Medians of blocks, which were compared
# before, scattered by 2.3 times their standard error; so this errs on the wide side.
STATES = 2.3
LEAST_FACTOR = 0.5  # on a quiet machine batches are independent
TAIL_FREEDOM = 6  # degrees of freedom of that scatter: some rows jump, such as with where their tensors lie in memory
BATCH_FREEDOM = 4  # how many degrees of freedom the table's typical spread of batches adds to that of one row
QUARTER = 0.3186  # a quarter of normal numbers with a standard deviation of 1 are closer to 0
TRIMMED, OF_TRIMMED = 2.0, 0.7737  # the variance of those normal numbers that are closer to 0 than 2
PASSES = 20


@dataclass(frozen=True)
class Shift:
    """How one op call differs between two pools, in natural logarithms of time (second minus first)."""

    value: float  # the Hodges-Lehmann estimate from the batches or pairs, without the machine's part
    within: float  # variance of one side's batches, or half that of the pairs' differences; NaN where it has but one
    batches: tuple[int, int]  # of blocks, on each side
    machine: float = 0.0  # the standard error of the machine's part
    identical: bool = False  # both sides are the same samples
    paired: bool = False  # from differences of pairs that were measured in turn; ``batches`` is how many on each side


@dataclass(frozen=True)
class Judged:
    """The verdicts on all rows of a table, by row."""

    low: Samples  # ends of the 95 % interval of the shift
    high: Samples
    words: list[str]  # same, faster, slower or undecided


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


def judge(shifts: list[Shift]) -> Judged:
    """Judge all rows of a table together.

    The standard error of a shift has two parts: of the row (``_row_errors``, times the table's own ``scatter``), and of
    the machine's part. Rows that jump from profile to profile make the tails heavy, so the shift over its error counts
    as Student's t with few degrees of freedom. A row is the same where two one-sided tests (Schuirmann 1987) show that
    it is within ``EQUAL``; else faster or slower where a test shows that it is not 0, with the false discovery rate
    held to ``FALSE_CHANGES``.

    Args:
        shifts: one for each row.

    Returns:
        The verdicts, by row.
    """
    value = np.array([one.value for one in shifts])
    machine = np.array([one.machine for one in shifts])
    identical = np.array([one.identical for one in shifts])
    own = _row_errors(shifts)
    error = np.hypot(scatter(value, own, reach=2 * float(np.median(machine))) * own, machine)
    # What jumps from process to process is in the spread of pairs that were measured in turn.
    freedom = np.array([BATCH_FREEDOM + one.batches[0] - 1 if one.paired else TAIL_FREEDOM for one in shifts])
    differs = adjusted(2 * stdtr(freedom, -np.abs(value) / error))
    equal = stdtr(freedom, (np.abs(value) - np.log1p(EQUAL)) / error)
    half = np.where(identical, 0.0, stdtrit(freedom, 0.975) * error)
    same = identical | (equal <= FALSE_SAME)
    changed = np.where(value < 0, "faster", "slower")
    words = np.where(same, "same", np.where(differs <= FALSE_CHANGES, changed, "undecided"))
    return Judged(value - half, value + half, words.tolist())


def _row_errors(shifts: list[Shift]) -> Samples:
    """By row: the usual standard deviation of its shift from one pair of profiles to another.

    A row whose batches differ more also differs more from profile to profile. Pairs that were measured in turn share
    the machine's states, so they count as they are. The variance is the row's own and the table's typical one, weighted
    by their degrees of freedom (Smyth 2004).
    """
    counts = np.array([one.batches for one in shifts], dtype=float)
    own = np.array([one.within for one in shifts])
    known = np.isfinite(own)
    paired = np.array([one.paired for one in shifts])
    freedom = np.where(known, np.where(paired, counts[:, 0] - 1, counts.sum(axis=1) - 2), 0.0)
    typical = float(np.median(own[known])) if known.any() else LEAST_SPREAD**2
    variance = (freedom * np.where(known, own, 0.0) + BATCH_FREEDOM * typical) / (freedom + BATCH_FREEDOM)
    spread = np.where(paired | (len(shifts) >= ENOUGH_ROWS), LEAST_SPREAD, USUAL_SPREAD)
    errors: Samples = np.sqrt(spread**2 + np.where(paired, 1.0, STATES**2) * variance * (1 / counts).sum(axis=1))
    return errors


def scatter(value: Samples, own: Samples, reach: float) -> float:
    """How many times as much as their usual errors the unchanged rows of this table differ.

    Rows that changed must not widen it. So it begins with the eighth of the rows that are closest to 0, which is a
    quarter of the unchanged ones where half changed, and goes on with those within 2 standard deviations (an empirical
    null, Efron 2004). Up to half of the rows may have changed.

    Args:
        value: the shifts of the rows.
        own: their usual errors.
        reach: by so much at most may the unchanged rows be off 0 together, because the machine's part is not exact.

    Returns:
        The factor; 1 with fewer than ``ENOUGH_ROWS`` shifts.
    """
    if value.size < ENOUGH_ROWS:
        return 1.0
    middle = 0.0
    factor = max(LEAST_FACTOR, float(np.quantile(np.abs(value / own), 0.125)) / QUARTER)
    for _ in range(PASSES):
        unchanged = np.abs(value - middle) <= TRIMMED * factor * own
        if not unchanged.any():
            break
        middle = float(np.clip(np.median(value[unchanged]), -reach, reach))
        squares = ((value[unchanged] - middle) / own[unchanged]) ** 2
        factor = max(LEAST_FACTOR, float(np.sqrt(np.mean(squares) / OF_TRIMMED)))
    return factor
