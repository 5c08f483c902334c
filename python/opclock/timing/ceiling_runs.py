"""Measures a board's ceilings into its profile."""

from __future__ import annotations

from opclock.errors import EstimateError, first_line
from opclock.extension import load_core, process_clock
from opclock.formatting import counted
from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES, Ceilings, buffer_bytes
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent

PASS_S = 0.01  # seconds for one sample of a ceiling
PASSES = 3  # over all ceilings: the samples of one are seconds apart, and one that is far off does not count
ALL_S = 25.0  # about how long all ceilings take with one number of threads, on a two-core x86-64 machine
ROOF_S = 0.05  # seconds for one of PASSES samples of one of the two roofs

# The name of each ceiling in a profile, and the bytes of its working set (0: none).
ALL_CEILINGS = (
    *((f"multiply_adds_{dtype}", 0) for dtype in DTYPES),
    *((f"{pattern}_bytes_per_s", size) for pattern in PATTERNS for size in SIZES),
    *(("loads_per_s", size) for size in SIZES),
)


def measure_ceilings(profile: Profile, threads: int, progress: Progress = silent) -> Ceilings:
    """Read the ceilings from the profile. Measure them first where any is missing.

    Args:
        profile: open for writing.
        threads: threads of opclock's kernels, not of PyTorch.
        progress: receives a text and the fraction that is done.

    Returns:
        All ceilings with this number of threads.

    Raises:
        ProfileError: the profile cannot be written.
    """
    try:
        return Ceilings.read(profile, threads)
    except EstimateError:
        remeasure_ceilings(profile, threads, progress)
        return Ceilings.read(profile, threads)


def ceilings_left_s(profile: Profile, threads: int) -> float:
    """About how many seconds ``measure_ceilings`` will take; 0 where the profile has all ceilings."""
    try:
        Ceilings.read(profile, threads)
    except EstimateError:
        return ALL_S
    return 0.0


def remeasure_ceilings(profile: Profile, threads: int, progress: Progress = silent) -> None:
    """Measure all ceilings again. The samples add to those of earlier runs. Args, Raises: see ``measure_ceilings``."""
    steps = ALL_CEILINGS * PASSES
    for number, (name, nbytes) in enumerate(steps):
        progress(f"ceilings, {counted(threads, 'thread')}", number / len(steps))
        profile.add_ceiling(name, nbytes, threads, _rate(name, nbytes, threads, PASS_S))
    progress(f"ceilings, {counted(threads, 'thread')}", 1.0)


def measure_roofs(
    profile: Profile, working_set: int, threads: int, dtype: str = "float32", pattern: str = "copy"
) -> tuple[float, float]:
    """Read the two ceilings of a roofline from the profile. Measure them first where they are missing.

    Args:
        profile: open for writing.
        working_set: bytes that the model touches.
        threads: threads of opclock's kernels.
        dtype: of the multiply-accumulates, one of ``ceilings.DTYPES``.
        pattern: of the bandwidth, one of ``ceilings.PATTERNS``.

    Returns:
        Multiply-accumulates per second, and bytes per second in buffers of about the working set.

    Raises:
        ProfileError: the profile cannot be written.
    """
    peak = _measured_once(profile, f"multiply_adds_{dtype}", 0, threads)
    return peak, _measured_once(profile, f"{pattern}_bytes_per_s", buffer_bytes(working_set), threads)


def _measured_once(profile: Profile, name: str, nbytes: int, threads: int) -> float:
    rate = profile.ceiling(name, nbytes, threads)
    if rate is None:
        for _ in range(PASSES):
            profile.add_ceiling(name, nbytes, threads, _rate(name, nbytes, threads, ROOF_S))
        rate = profile.ceiling(name, nbytes, threads)
    assert rate is not None
    return rate


def _rate(name: str, nbytes: int, threads: int, seconds: float) -> float:
    """Measure one ceiling for this many seconds; returns a rate per second.

    Raises EstimateError where memory is short, or where the system does not start so many threads.
    """
    core, clock = load_core(), process_clock()
    try:
        if name.startswith("multiply_adds_"):
            return float(core.multiply_adds_per_s(clock, name.removeprefix("multiply_adds_"), threads, seconds))
        if name == "loads_per_s":
            return float(core.loads_per_s(clock, nbytes, seconds))
        return float(core.bytes_per_s(clock, name.removesuffix("_bytes_per_s"), nbytes, threads, seconds))
    except (RuntimeError, MemoryError) as error:
        raise EstimateError(f"cannot measure {name} on {counted(threads, 'thread')}: {first_line(error)}") from error
