"""Medians of samples and of rounds, with their intervals."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit  # scipy.stats takes half a second to import

from opclock import arithmetic

Samples = npt.NDArray[np.float64]
Blocks = npt.NDArray[np.integer]

TWO_SIDED_95 = 1.96  # standard deviations on each side that hold 95 % of a normal distribution
NORMAL_MAD = 1.4826  # the standard deviation of normal numbers with a median absolute deviation of 1
BATCHES = 48  # at most; a batch is a run of whole blocks
COARSE_BATCHES = 24  # show a slow state of the machine below the noise of single rounds
MAX_DEGREES = 24  # of freedom: more narrow the interval by less than 3 %
MIN_DEGREES = 3  # fewer make an interval several times too wide
FAST = 0.05  # the quantile of rounds that is compared between profiles
FLAT = 0.7  # of the frequency up to which a first-order autoregressive process has a flat spectrum


def dot(first: Samples, second: Samples) -> float:
    """The dot product with the same digits on every machine: BLAS adds up in an order of the processor's."""
    return float((first * second).sum())


@lru_cache(maxsize=1024)
def student(freedom: int, share: float) -> float:
    """The quantile of Student's t, with the same digits on every machine."""
    return arithmetic.rounded(float(stdtrit(freedom, share)))


def median_interval(samples: Samples, confidence: float = 0.95, *, blocks: Blocks | None = None) -> tuple[float, float]:
    """Compute a confidence interval of the median of correlated samples, for any distribution.

    Samples close in time share the state of the machine, so that an interval for independent samples is too narrow.
    Here the share of samples below the median gets an interval, and the quantiles at its ends are the result. The
    variance of that share comes from its lowest frequencies, by the cosine transform with Student's t (Lazarus et al.
    2018, HAR Inference, Journal of Business & Economic Statistics 36). The stronger the samples are correlated, the
    fewer frequencies count. Beyond the smallest and the largest sample the interval goes on in a straight line.

    ``docs/method.md`` has the coverage. No interval can hold where the samples are fewer than about 20 times the
    length of the machine's states.

    Args:
        samples: in the order they were taken, in any unit.
        confidence: the confidence level, a fraction.
        blocks: by sample, the number of its block. Samples of a block were taken in a row and count as one draw of
            the machine's state; without numbers each sample may be a draw of its own.

    Returns:
        Both ends, in the samples' unit; not below 0 where no sample is. One sample alone is both ends.

    Raises:
        ValueError: no samples, or not one block number for each.
    """
    if samples.size == 0:
        raise ValueError("no samples")
    if blocks is not None and blocks.shape != samples.shape:
        raise ValueError(f"{blocks.size} block numbers for {samples.size} samples")
    if samples.size == 1:
        return float(samples[0]), float(samples[0])
    middle = float(np.median(samples))
    ordered = np.sort(samples)
    starts = np.arange(samples.size) if blocks is None else np.flatnonzero(np.diff(blocks, prepend=blocks[0] - 1))
    low, high = _quantiles(ordered, middle, _half_share(np.sign(samples - middle) / 2, starts, confidence))
    return (max(0.0, low) if ordered[0] >= 0 else low), high


def _half_share(below: Samples, starts: npt.NDArray[np.intp], confidence: float) -> float:
    """Half the interval of the share of samples below the median. Blocks begin at ``starts``."""
    fine = _batch_means(below, starts, len(starts))
    means = _batch_means(below, starts, BATCHES)
    if len(means) < 2:  # one block: all that is known is how its own samples differ
        fine = means = below
    single = len(fine) == below.size
    degrees = min(_flat_frequencies(fine, single), _flat_frequencies(_batch_means(below, starts, COARSE_BATCHES)))
    most = min(MAX_DEGREES, len(means) - 1)
    degrees = max(min(MIN_DEGREES, most), min(most, degrees))
    amplitudes = (_cosines(len(means), degrees) * means).sum(axis=1)
    error = float(np.sqrt(np.mean(amplitudes**2) / len(means)))
    independent = 0.5 / np.sqrt(below.size)  # the standard error where samples are not correlated: never less
    sides = (1 + confidence) / 2
    return max(student(degrees, sides) * error, student(below.size - 1, sides) * float(independent))


def _batch_means(values: Samples, starts: npt.NDArray[np.intp], batches: int) -> Samples:
    """The means of at most so many runs of whole blocks."""
    edges = starts if len(starts) <= batches else starts[np.arange(batches) * len(starts) // batches]
    means: Samples = np.add.reduceat(values, edges) / np.diff(edges, append=values.size)
    return means


def _flat_frequencies(series: Samples, signs: bool = False) -> int:
    """How many of the lowest frequencies lie where the spectrum is flat, by the correlation of neighbours."""
    count = len(series)
    away = series - series.mean()
    power = dot(away, away)
    if count < 3 or power == 0.0:
        return MAX_DEGREES
    neighbours = dot(away[1:], away[:-1]) / power
    neighbours = min(0.99, max(0.0, neighbours + (1 + 3 * neighbours) / count))  # Kendall 1954: it is biased low
    # Signs are less correlated than the normal variables that they are the signs of.
    correlation = float(np.sin(np.pi / 2 * neighbours)) if signs else neighbours
    return int(min(MAX_DEGREES, FLAT * count * (1 - correlation) / np.pi / np.sqrt(correlation + 1e-9)))


@lru_cache(maxsize=256)
def _cosines(count: int, degrees: int) -> Samples:
    """The lowest frequencies of the orthonormal cosine transform, without the constant: frequencies x count."""
    frequencies, positions = np.arange(1, degrees + 1)[:, None], np.arange(count)[None, :] + 0.5
    cosines = np.round(np.cos(np.pi * frequencies * positions / count), arithmetic.DIGITS)
    return np.asarray(np.sqrt(2 / count) * cosines)


def _quantiles(ordered: Samples, middle: float, half_share: float) -> tuple[float, float]:
    """The quantiles this far below and above the median (Hyndman & Fan 1996, type 6), extrapolated beyond samples."""
    count = len(ordered)
    reach = 0.5 - 1 / (count + 1)  # from the median to the extremes
    within = min(half_share, reach)
    ranks = np.arange(count)
    ends = [float(np.interp((0.5 + side * within) * (count + 1) - 1, ranks, ordered)) for side in (-1, 1)]
    scale = half_share / within if within > 0 else 1.0
    return middle - (middle - ends[0]) * scale, middle + (ends[1] - middle) * scale


def log_fast(seconds: Samples) -> float:
    """The logarithm of the ``FAST`` quantile of these times.

    Other programs and the states of a shared machine only make rounds slower, so the fast ones are alike from process
    to process and from minute to minute where medians differ by some percent (Chen and Revels 2016, Robust
    benchmarking in noisy environments). A change of the kernel moves them as it moves the median.
    """
    return float(np.log(np.quantile(seconds, FAST)))


def typical_round(rounds: Samples) -> Samples:
    """The median of each column (rounds x columns), scaled so that they add up to the median round."""
    medians: Samples = np.median(rounds, axis=0)
    return medians * _middle_row_over(float(medians.sum()), rounds)


def sums_over_medians(seconds: Samples) -> float:
    """How many times the sum of its columns' medians the middle row takes.

    What slows a round down slows several of its op calls down, and the medians of single ones leave that out.

    Args:
        seconds: rounds x op calls.

    Returns:
        The median of the rows' sums over the sum of the columns' medians; 1 where the latter is 0 or nothing was timed.
    """
    return _middle_row_over(float(np.median(seconds, axis=0).sum()), seconds) if seconds.size else 1.0


def _middle_row_over(total: float, rows: Samples) -> float:
    """The median of the rows' sums over a total; 1 where that is 0."""
    return float(np.median(rows.sum(axis=1))) / total if total > 0 else 1.0
