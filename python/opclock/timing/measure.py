"""Times the op calls of a trace into a profile."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from opclock.argument_checks import Seconds, checked
from opclock.board.accelerator import has_lanes
from opclock.board.cores import check_threads
from opclock.errors import ModelError
from opclock.estimation.pool_selection import choose_pools
from opclock.flags import Flag, ordered
from opclock.formatting import counted
from opclock.profiles.disturbance import MIN_CLEAN
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.timing.binding import refusals
from opclock.timing.device_graph import can_capture
from opclock.timing.host_playback import Forward, Host
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave_together
from opclock.timing.memory_budget import check_fit, memory_budget_bytes, split
from opclock.timing.missing import LANE_TIMINGS, condition_of, contended_calls, host_known, missing_calls, timings_of
from opclock.timing.reference import runs_in_block
from opclock.timing.sampler import Sampler
from opclock.timing.stopping import is_over
from opclock.timing.threads import thread_team
from opclock.tracing.trace import Trace, check_calls

MIN_S = 2.0  # of rounds: shorter runs differ from each other by more than their intervals
MAX_S = 3.5  # of rounds for a small model
MAX_LATENCIES = 40  # for a large model: rounds take at most this many times its latency
MIN_ROUNDS = 5
CALLER = 3  # frames up from ``measure``, for warnings: its argument checks are between


@dataclass(frozen=True)
class MeasureSummary:
    """What one call of ``measure`` did.

    Attributes:
        timed: number of distinct op calls that were timed now.
        known: number of distinct op calls that the profile had already.
        again: how many of the timed ones the profile had from rounds alone that other programs disturbed.
        rounds: passes over the op calls, including those of an earlier, interrupted run that was continued.
        seconds: wall time spent on timing.
        ended: "settled" where all op calls were sampled enough, "time_cap" where the time limit came first, or
            "nothing_to_do".
        flags: what was unusual about the measurements that the profile now has of the model.
        unknown: the op calls that do not run on rebuilt arguments, each with the reason. They have no time.
        remark: why the host's cost comes from a table by kind of call; "" where the model's Python was played.
    """

    timed: int
    known: int
    rounds: int
    seconds: float
    ended: str
    flags: tuple[Flag, ...]
    remark: str = ""
    unknown: tuple[str, ...] = ()
    again: int = 0


@dataclass(frozen=True)
class _Work:
    """The arguments of ``measure``, with the host that plays."""

    trace: Trace
    profile: Profile
    host: Host
    threads: int
    seed: int
    max_s: float | None
    progress: Progress


@checked
def measure(
    trace: Trace, profile: Profile, *, forward: Forward | None = None, threads: int | None = None, seed: int = 0,
    max_s: Seconds | None = None, progress: Progress = silent,
) -> MeasureSummary:  # fmt: skip
    """Time the op calls of a trace that the profile lacks, and the model's host.

    Args:
        trace: the model.
        profile: stores every finished round. After an interruption, the next call continues from there.
        forward: calls the model on its inputs. Its Python is played between the timed kernels, with its own kernels
            switched off: the model is never run. Without it, the host's cost comes from a table by kind of call; so
            it does where it raises then, which a warning says.
        threads: PyTorch's threads; the current setting if None.
        seed: for the order of rounds, where it is random.
        max_s: largest number of wall seconds of rounds; by default 3.5 s or 40 times the model's latency, and three
            times that where other programs disturb the rounds. At least five rounds are made. Rebuilding and checking
            the op calls, and a warm-up of up to 1 s, come before them and do not count.
        progress: receives a text and the fraction of the time that is spent.

    Returns:
        What was timed, and why it ended.

    Raises:
        OpCallError: an op call's answer differs from PyTorch's, or memory is too small.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread, a time limit that is not above 0, or another wrong argument.
        TraceError: no trace was given, or the model makes no op call.
    """
    threads = torch.get_num_threads() if threads is None else threads
    check_threads(threads)
    check_calls(trace)
    missing = missing_calls(trace, profile, threads)
    known = len(trace.unique) - len(missing)
    again = contended_calls(trace, profile, threads) & missing
    unknown = refusals(trace, missing, condition_of(trace, threads))
    nothing_to_time = known > 0 and len(unknown) == len(missing)
    incomplete: tuple[Flag, ...] = ("incomplete",) if unknown else ()
    if nothing_to_time and (forward is None or host_known(trace, profile, threads)):
        flags = ordered([*incomplete, *_flags(trace, profile, threads)])
        return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", flags, unknown=unknown)
    if note := elsewhere_note(trace, profile):
        warnings.warn(note, stacklevel=CALLER)
    with thread_team(threads):
        start = time.perf_counter()
        host, remark = host_for(trace, forward)
        if forward is not None and remark:
            warnings.warn(f"{trace.model}: {remark}", stacklevel=CALLER)
        if nothing_to_time and remark:  # the host cannot be played, and the table is filled already
            flags = ordered(["host_by_table", *incomplete, *_flags(trace, profile, threads)])
            return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", flags, remark, unknown)
        rounds, ended, unknown = _time(_Work(trace, profile, host, threads, seed, max_s, progress))
    own = [*(["host_by_table"] if remark else []), *(["incomplete"] if unknown else [])]
    flags = ordered([*own, *_flags(trace, profile, threads)])
    timed = len(missing) - len(unknown)
    spent_s = time.perf_counter() - start
    return MeasureSummary(timed, known, rounds, spent_s, ended, flags, remark, unknown, min(len(again), timed))


def elsewhere_note(trace: Trace, profile: Profile) -> str:
    """A sentence about another process that measures the same op calls into this profile now, or ""."""
    other = profile.measured_elsewhere(trace.unique)
    if other is None:
        return ""
    since = time.strftime("%H:%M:%S", time.localtime(other[1]))
    return (
        f"process {other[0]} has been measuring the same op calls into {profile.path} since {since}: both go on, and "
        "each disturbs the other; stop one of them"
    )


def _flags(trace: Trace, profile: Profile, threads: int) -> tuple[Flag, ...]:
    """The flags of the pools that the profile now has for a model."""
    found: list[Flag] = []
    for timing in timings_of(trace.device):
        pools = choose_pools(trace, profile, condition_of(trace, threads, timing)).values()
        found += [flag for pool in {pool.number: pool for pool in pools}.values() for flag in pool.round_flags]
    return ordered(found)


def _time(work: _Work) -> tuple[int, str, tuple[str, ...]]:
    """Sample all op calls and end their pools. Returns the number of rounds, why it ended, and what has no time."""
    rounds, settled, unknown = 0, True, dict[str, None]()
    samplers: Iterable[Sampler] = _sample_lanes(work) if has_lanes(work.trace.device) else _sample_runs(work)
    for sampler in samplers:
        ended, _ = sampler.end()
        rounds += sampler.rounds
        unknown |= dict.fromkeys(sampler.unknown)
        settled = settled and ended == "settled"
    return rounds, "settled" if settled else "time_cap", tuple(unknown)


def _sample_runs(work: _Work) -> Iterator[Sampler]:
    """Sample one after another the parts of the trace that fit into memory."""
    trace, condition = work.trace, condition_of(work.trace, work.threads)
    for positions in split(trace, memory_budget_bytes(trace.device)):
        sampler = Sampler(trace, positions, Arguments(trace), work.profile, condition, work.host, seed=work.seed)
        sampler.warm_up()
        _sample(sampler, work)
        yield sampler


class _Budget:
    """The wall seconds for the rounds of some samplers. The usual time depends on the shortest round so far.

    Without a limit of the user's, sampling goes on for up to three times the usual, until enough rounds are clean.
    """

    def __init__(self, work: _Work, samplers: Sequence[Sampler], latencies: int) -> None:
        self._work, self._samplers, self._latencies = work, samplers, latencies
        self._start = time.perf_counter()
        self.shortest_s = math.inf  # of all rounds

    def block(self, sampler: Sampler, rounds: int) -> None:
        self.shortest_s = min(self.shortest_s, sampler.block(rounds))

    @property
    def usual_s(self) -> float:
        if self._work.max_s is not None:
            return self._work.max_s
        return max(len(self._samplers) * MAX_S, self._latencies * self.shortest_s)

    def is_enough(self) -> bool:
        """Whether all op calls are sampled enough, or the time is up."""
        spent_s, usual_s = time.perf_counter() - self._start, self.usual_s
        if min(sampler.rounds for sampler in self._samplers) < MIN_ROUNDS or spent_s < min(MIN_S, usual_s):
            return False
        return is_over(
            spent_s / usual_s,
            limited=self._work.max_s is not None,
            clean=all(sampler.clean_rounds >= MIN_CLEAN for sampler in self._samplers),
            settled=all(sampler.settled for sampler in self._samplers),
        )

    def report(self) -> None:
        """Report the rounds so far and the fraction of the usual time."""
        share = min(1.0, (time.perf_counter() - self._start) / self.usual_s)
        self._work.progress(f"{self._work.trace.model}: {self.text}", share)

    @property
    def text(self) -> str:
        first = self._samplers[0]
        lanes = " of each lane" if len(self._samplers) > 1 else ""
        if first.clean_rounds < first.rounds:
            return f"{first.clean_rounds} clean of {counted(first.rounds, 'round')}{lanes}"
        return f"{counted(first.rounds, 'round')}{lanes}"


def _sample(sampler: Sampler, work: _Work) -> None:
    """Run blocks of rounds until all op calls are sampled enough, or the time is up."""
    budget = _Budget(work, [sampler], MAX_LATENCIES)
    budget.block(sampler, 1)
    interleave_together(
        [sampler], lambda one: budget.block(one, runs_in_block(budget.shortest_s)),
        enough=budget.is_enough, progress=budget.report,
    )  # fmt: skip
    work.progress(f"{work.trace.model}: {budget.text}", 1.0)


def _sample_lanes(work: _Work) -> list[Sampler]:
    """Run blocks of rounds in each timing on a device in turn, until all are sampled enough or the time is up."""
    samplers = lane_samplers(work.trace, work.profile, work.host, work.threads, work.seed, Arguments(work.trace))
    budget = _Budget(work, samplers, 0)
    interleave_together(
        samplers, lambda sampler: budget.block(sampler, MIN_ROUNDS), enough=budget.is_enough, progress=budget.report
    )
    work.progress(f"{work.trace.model}: {budget.text}", 1.0)
    return samplers


def lane_samplers(
    trace: Trace, profile: Profile, host: Host, threads: int, seed: int, arguments: Arguments
) -> list[Sampler]:
    """Bind all op calls of a trace and warm them up, once for each timing on a device beside the host.

    Args:
        trace: the model.
        profile: open for writing.
        host: plays during the rounds of "in_model".
        threads: PyTorch's threads.
        seed: for every random order.
        arguments: real arguments for the trace.

    Returns:
        One sampler for each timing; that of the host's time comes first.

    Raises:
        OpCallError: the op calls do not fit into the device's memory, or an error of ``Sampler``.
        ProfileError: the profile cannot be written.
    """
    check_fit(trace)
    samplers = []
    for timing in (*LANE_TIMINGS, "recorded") if can_capture(trace.device) else LANE_TIMINGS:
        condition = condition_of(trace, threads, timing)
        played = host if timing == "in_model" else None
        sampler = Sampler(trace, range(len(trace.calls)), arguments, profile, condition, played, seed=seed)
        try:
            sampler.warm_up()
        except ModelError:  # some models cannot be captured in a graph, and estimates of eager inference do not need it
            continue
        samplers.append(sampler)
    return samplers
