"""What the ceilings of a board allow at least for the programs of a language model."""

from __future__ import annotations

from collections.abc import Sequence

from opclock.board.accelerator import has_lanes
from opclock.estimation.baselines import roofline
from opclock.generation.result import Ceiling
from opclock.generation.roles import weight_calls
from opclock.prediction.ceilings import COUNTED_IN, buffer_bytes
from opclock.profiles.profile import Profile
from opclock.timing.ceiling_runs import measure_roofs
from opclock.tracing.macs import moved_bytes
from opclock.tracing.trace import Trace

PATTERN = "read"  # weights are read, and little is written


def roofs(trace: Trace, profile: Profile, threads: int, *, measure: bool) -> tuple[float, float] | None:
    """Multiply-accumulates per second in the dtype of a trace, and bytes per second in its working set.

    Args:
        trace: of one token.
        profile: has the ceilings, or is open for writing.
        threads: of opclock's kernels.
        measure: whether to measure them where they are missing.

    Returns:
        Both; None where they are missing, or on a device beside the host, whose ceilings are not measured.
    """
    if has_lanes(trace.device):
        return None
    dtype = COUNTED_IN.get(trace.dtype, "float32")
    if measure:
        return measure_roofs(profile, trace.working_set, threads, dtype, PATTERN)
    peak = profile.ceiling(f"multiply_adds_{dtype}", 0, threads)
    bandwidth = profile.ceiling(f"{PATTERN}_bytes_per_s", buffer_bytes(trace.working_set), threads)
    return None if peak is None or bandwidth is None else (peak, bandwidth)


def ceilings(prompt: Trace, tokens: Sequence[Trace], rates: tuple[float, float]) -> tuple[Ceiling, Ceiling]:
    """The roofline of prompt and tokens, and the MACs alone over their ceiling. ``rates``: see ``roofs``."""
    peak, bandwidth = rates

    def both(trace: Trace) -> float:
        return roofline(trace, peak, bandwidth)

    def only_macs(trace: Trace) -> float:
        return roofline(trace, peak, float("inf"))

    weights = tuple(sum(map(moved_bytes, weight_calls(one))) / bandwidth for one in tokens)
    return (
        Ceiling(both(prompt), tuple(map(both, tokens)), weights),
        Ceiling(only_macs(prompt), tuple(map(only_macs, tokens))),
    )
