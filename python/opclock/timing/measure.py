"""Times the op calls of a trace into a profile."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from opclock.argument_checks import Count, Seconds, checked
from opclock.board.accelerator import has_lanes
from opclock.board.cores import check_threads
from opclock.estimation.pool_selection import choose_pools
from opclock.flags import Flag, ordered
from opclock.models.loading import Model, Specification
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.timing.binding import refusals
from opclock.timing.budget import MIN_ROUNDS, Budget
from opclock.timing.host_playback import Forward, Host
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave_together
from opclock.timing.lane_samplers import lane_samplers
from opclock.timing.memory_budget import memory_budget_bytes, split
from opclock.timing.missing import (
    code_unknown,
    condition_of,
    contended_calls,
    host_known,
    in_processes,
    missing_calls,
    timings_of,
)
from opclock.timing.page_faults import model_faults
from opclock.timing.reference import forward_of, runs_in_block
from opclock.timing.sampler import Sampler
from opclock.timing.sampling_processes import KernelProcess, bind, checked_specification, end, started
from opclock.timing.subnormal import subnormal_flags
from opclock.timing.threads import thread_team
from opclock.tracing.trace import Trace, check_calls

MAX_S = 3.5  # of rounds for a small model
MAX_LATENCIES = 40  # for a large model: rounds take at most this many times its latency
PROCESS_SHARE = 0.5  # of that time for each of several processes: together they have at least as many rounds as one
CALLER = 3  # frames up from ``measure``, for warnings: its argument checks are between


@dataclass(frozen=True)
class MeasureSummary:
    """What one call of ``measure`` did.

    Attributes:
        timed: number of distinct op calls that were timed now.
        known: number of distinct op calls that the profile had already.
        again: how many of the timed ones the profile had from rounds alone that other programs disturbed.
        rounds: passes over the op calls, including those of an earlier, interrupted run that was continued.
        earlier_rounds: how many of them that run had made.
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
    earlier_rounds: int = 0


@dataclass(frozen=True)
class _Work:
    """The arguments of ``measure``."""

    trace: Trace
    profile: Profile
    forward: Forward | None
    threads: int
    seed: int
    max_s: float | None
    progress: Progress


@dataclass(frozen=True)
class _Timed:
    """What timing did; see ``MeasureSummary``."""

    rounds: int
    ended: str
    unknown: tuple[str, ...]
    remark: str
    earlier_rounds: int = 0


@checked
def measure(
    trace: Trace, profile: Profile, *, forward: Forward | None = None, threads: int | None = None, seed: int = 0,
    max_s: Seconds | None = None, progress: Progress = silent, processes: Count = 1, model: Model | None = None,
) -> MeasureSummary:  # fmt: skip
    """Time the op calls of a trace that the profile lacks, and the model's host.

    Args:
        trace: the model.
        profile: stores every finished round. After an interruption, the next call continues from there.
        forward: calls the model on its inputs. It is run a few times for its page faults; then its Python is played
            between the timed kernels, with its own kernels switched off. Without it, the host's cost comes from a table
            by kind of call; so it does where it raises then, which a warning says. What the model's Python changes when
            it runs, such as a counter, stays changed, as after runs of your own.
        threads: PyTorch's threads; the current setting if None.
        seed: for the order of rounds, where it is random.
        max_s: largest number of wall seconds of rounds; by default 3.5 s or 40 times the model's latency, and three
            times that where other programs disturb the rounds. At least five rounds are made. Rebuilding and checking
            the op calls, and a warm-up of up to 1 s, come before them and do not count.
        progress: receives a text and the fraction of the time that is spent.
        processes: how many fresh processes sample the op calls in turn; with 1, this one does. A process keeps its
            layout of memory as long as it lives; the interval of an estimate from several holds how they differ. Each
            gets half the time of one alone. Where fewer took turns in the profile, the op calls are timed again.
        model: in place of ``forward``, what ``load_model`` returned: other processes load it by its name, and op calls
            are timed on the model's own parameters. With a plain function as ``forward`` they are timed on weights in
            memory of their own.

    Returns:
        What was timed, and why it ended.

    Raises:
        OpCallError: an op call's answer differs from PyTorch's, or memory is too small, or another process ended.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread or process, several processes for a model without a name or on a device
            beside the host, a time limit that is not above 0, or another wrong argument.
        TraceError: no trace was given, or the model makes no op call.
    """
    threads = torch.get_num_threads() if threads is None else threads
    check_threads(threads)
    check_calls(trace)
    if model is not None and forward is None:
        forward = forward_of(model.module, model.inputs, model.reset, trace.steps)
    specification = checked_specification(trace, forward, model, processes)
    few = processes > 1 and not in_processes(trace, profile, threads, processes)
    missing = set(trace.unique) if few else missing_calls(trace, profile, threads)
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
    start, work = time.perf_counter(), _Work(trace, profile, forward, threads, seed, max_s, progress)
    if processes > 1:
        timed = _time_in_processes(work, specification, processes)
    else:
        timed = _time_here(work, unknown if nothing_to_time else None)
    spent_s = time.perf_counter() - start if timed.rounds else 0.0
    own = [*(["host_by_table"] if timed.remark else []), *(["incomplete"] if timed.unknown else [])]
    flags = ordered([*own, *_flags(trace, profile, threads)])
    count = len(missing) - len(timed.unknown)
    return MeasureSummary(
        count, known, timed.rounds, spent_s, timed.ended, flags, timed.remark, timed.unknown,
        again=min(len(again), count), earlier_rounds=timed.earlier_rounds,
    )  # fmt: skip


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
    found: list[Flag] = ["code_unknown"] if code_unknown(trace, profile, threads) else []
    for timing in timings_of(trace.device):
        pools = choose_pools(trace, profile, condition_of(trace, threads, timing)).values()
        found += [flag for pool in {pool.number: pool for pool in pools}.values() for flag in pool.round_flags]
    return ordered(found)


def _time_here(work: _Work, refused: tuple[str, ...] | None) -> _Timed:
    """Sample all op calls in this process. Where ``refused`` are all that lack a time, only the host is needed."""
    with thread_team(work.threads):
        faults = model_faults(work.forward, work.trace.device)  # before anything else is bound
        host, remark = host_for(work.trace, work.forward)
        if work.forward is not None and remark:
            _warn_of(work, remark)
        if refused is not None and remark:  # the host cannot be played, and the table is filled already
            return _Timed(0, "nothing_to_do", refused, remark)
        rounds, earlier, settled, unknown = 0, 0, True, dict[str, None]()
        lanes = has_lanes(work.trace.device)
        samplers: Iterable[Sampler] = _sample_lanes(work, host) if lanes else _sample_runs(work, host)
        for sampler in samplers:
            ended, _ = sampler.end(
                model_faults={} if faults is None else {0: faults},
                model_flags=subnormal_flags(work.forward, work.trace.device),  # now: it takes memory
            )
            rounds += sampler.rounds
            earlier += sampler.earlier_rounds
            unknown |= dict.fromkeys(sampler.unknown)
            settled = settled and ended == "settled"
    return _Timed(rounds, "settled" if settled else "time_cap", tuple(unknown), remark, earlier)


def _warn_of(work: _Work, remark: str) -> None:
    warnings.warn(f"{work.trace.model}: {remark}", stacklevel=CALLER + 2)


def _time_in_processes(work: _Work, specification: Specification | None, count: int) -> _Timed:
    """Sample all op calls in so many fresh processes, which share a pool."""
    work.progress(f"{work.trace.model}: starting {count} processes", 0.0)
    rounds, earlier, settled, unknown, remark = 0, 0, True, dict[str, None](), ""
    with started(work.trace, specification, work.threads, kernels=count) as (children, _):
        for positions in split(work.trace, memory_budget_bytes(work.trace.device) // count):
            bound = bind(children, work.profile, positions, work.seed)
            if work.forward is not None and bound.remark and not remark:
                _warn_of(work, bound.remark)
            remark = bound.remark
            unknown |= dict.fromkeys(bound.unknown)
            earlier += children[0].earlier_rounds
            _sample_together(children, work)
            ended, pool_rounds, _ = end(children, subnormal_flags(work.forward, work.trace.device))
            rounds += pool_rounds
            settled = settled and ended == "settled"
    return _Timed(rounds, "settled" if settled else "time_cap", tuple(unknown), remark, earlier)


def _sample_runs(work: _Work, host: Host) -> Iterator[Sampler]:
    """Sample one after another the parts of the trace that fit into memory."""
    trace, condition = work.trace, condition_of(work.trace, work.threads)
    for positions in split(trace, memory_budget_bytes(trace.device)):
        arguments = Arguments(trace, work.forward)
        sampler = Sampler(trace, positions, arguments, work.profile, condition, host, seed=work.seed)
        sampler.warm_up()
        _sample(sampler, work)
        yield sampler


def _report(work: _Work, budget: Budget, share: float | None = None) -> None:
    """Report the rounds so far and the fraction of the usual time."""
    work.progress(f"{work.trace.model}: {budget.text}", budget.spent_share if share is None else share)


def _sample(sampler: Sampler, work: _Work) -> None:
    """Run blocks of rounds until all op calls are sampled enough, or the time is up."""
    budget = Budget([sampler], work.max_s, MAX_S, MAX_LATENCIES)
    budget.block(sampler, 1)
    interleave_together(
        [sampler], lambda one: budget.block(one, runs_in_block(budget.shortest_s)),
        enough=budget.is_enough, progress=lambda: _report(work, budget),
    )  # fmt: skip
    _report(work, budget, 1.0)


def _sample_together(children: Sequence[KernelProcess], work: _Work) -> None:
    """Run blocks of rounds in each process in turn, in random order, until all are sampled enough or the time is up."""
    budget = Budget(children, work.max_s, len(children) * PROCESS_SHARE * MAX_S, MAX_LATENCIES, "process")
    for child in children:
        budget.block(child, 1)
    interleave_together(
        children, lambda one: budget.block(one, runs_in_block(budget.shortest_s)),
        enough=budget.is_enough, order=random.Random(work.seed), progress=lambda: _report(work, budget),
    )  # fmt: skip
    _report(work, budget, 1.0)


def _sample_lanes(work: _Work, host: Host) -> list[Sampler]:
    """Run blocks of rounds in each timing on a device in turn, until all are sampled enough or the time is up."""
    arguments = Arguments(work.trace, work.forward)
    samplers = lane_samplers(work.trace, work.profile, host, work.threads, work.seed, arguments)
    budget = Budget(samplers, work.max_s, len(samplers) * MAX_S, 0, "lane")
    interleave_together(
        samplers,
        lambda sampler: budget.block(sampler, MIN_ROUNDS),
        enough=budget.is_enough,
        progress=lambda: _report(work, budget),
    )
    _report(work, budget, 1.0)
    return samplers
