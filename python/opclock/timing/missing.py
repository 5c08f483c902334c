"""Finds what an estimate of a trace needs and a profile lacks."""

from __future__ import annotations

from collections.abc import Collection

from opclock.board.accelerator import has_lanes
from opclock.estimation.host_keys import host_key, usable_keys
from opclock.estimation.pool_selection import choose_pools
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.profile import Profile
from opclock.timing.binding import refusals
from opclock.tracing.trace import Trace

LANE_TIMINGS: tuple[Timing, ...] = ("in_model", "device", "isolated")  # on a device beside the host


def condition_of(trace: Trace, threads: int, timing: Timing = "in_model") -> Condition:
    """The condition for timing the op calls of this trace with this number of PyTorch threads."""
    return Condition.of(timing, trace.device, threads, trace.working_set)


def timings_of(device: str) -> tuple[Timing, ...]:
    """The timings that an estimate on this device needs of a model's op calls."""
    return LANE_TIMINGS if has_lanes(device) else ("in_model",)


def missing_in(trace: Trace, profile: Profile, condition: Condition) -> set[str]:
    """Keys of the trace's op calls without a finished measurement in this condition."""
    return set(trace.unique) - profile.measured(condition, trace.unique)


def missing_calls(trace: Trace, profile: Profile, threads: int) -> set[str]:
    """Keys of the trace's op calls without a measurement in one of the timings that an estimate needs."""
    return set[str]().union(
        *(missing_in(trace, profile, condition_of(trace, threads, timing)) for timing in timings_of(trace.device))
    )


def contended_calls(trace: Trace, profile: Profile, threads: int) -> set[str]:
    """Keys of the trace's op calls that one of those timings has only from disturbed rounds."""
    return set[str]().union(
        *(profile.contended(condition_of(trace, threads, one), trace.unique) for one in timings_of(trace.device))
    )


def host_known(trace: Trace, profile: Profile, threads: int) -> bool:
    """Whether the profile has a finished measurement of the model's own host in its condition.

    One whose code cannot be compared with the model's counts, so that profiles of earlier versions stay usable.
    """
    return any(profile.host_measured(condition_of(trace, threads), key) for key in usable_keys(trace, profile))


def code_unknown(trace: Trace, profile: Profile, threads: int) -> bool:
    """Whether the only such measurement is one whose code cannot be compared with the model's."""
    own = profile.host_measured(condition_of(trace, threads), host_key(trace))
    return not own and host_known(trace, profile, threads)


def can_be_timed(trace: Trace, keys: Collection[str], threads: int) -> bool:
    """Whether one of these op calls of the trace runs on rebuilt arguments."""
    return bool(keys) and not refusals(trace, keys, condition_of(trace, threads))


def nothing_to_time(trace: Trace, profile: Profile, threads: int) -> bool:
    """Whether the profile has op calls of the trace, and lacks only those that do not run on rebuilt arguments."""
    missing = missing_calls(trace, profile, threads)
    return len(missing) < len(trace.unique) and not can_be_timed(trace, missing, threads)


def refused_calls(trace: Trace, profile: Profile, threads: int) -> tuple[str, ...]:
    """Why none of the op calls that the profile lacks can be timed; empty where it has all, or one of them can be."""
    missing = missing_calls(trace, profile, threads)
    return refusals(trace, missing, condition_of(trace, threads)) if missing else ()


def all_known(trace: Trace, profile: Profile, threads: int) -> bool:
    """Whether the profile has all op calls of the trace that can be timed, and the model's own host."""
    return host_known(trace, profile, threads) and nothing_to_time(trace, profile, threads)


def in_processes(trace: Trace, profile: Profile, threads: int, count: int) -> bool:
    """Whether at least so many processes took turns in the pools that an estimate of the trace uses."""
    pools = choose_pools(trace, profile, condition_of(trace, threads)).values()
    return all(len(pool.process_times) >= count for pool in pools)
