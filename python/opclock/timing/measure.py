"""Times the op calls of a trace into a profile."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from opclock.board.accelerator import free_bytes, has_lanes
from opclock.errors import ModelError, OpCallError
from opclock.estimation.host_costs import host_key
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.timing.device_graph import can_capture
from opclock.timing.host_playback import Forward, Host
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave_together
from opclock.timing.reference import runs_in_block
from opclock.timing.sampler import Sampling
from opclock.timing.threads import thread_team
from opclock.tracing.op_call import TensorSpec
from opclock.tracing.trace import Trace

MIN_S = 2.0  # of rounds: shorter windows differ by more than the intervals inside them say
MAX_S = 3.5  # of rounds for a small model, and
MAX_LATENCIES = 40  # times its own latency for a large one
MIN_ROUNDS = 5
LANE_TIMINGS: tuple[Timing, ...] = ("in_model", "device", "isolated")  # of a device beside the host
POOL_MEMORY_SHARE = 0.4  # of the memory that is free: the model itself and its inputs need room, too


@dataclass(frozen=True)
class MeasureSummary:
    """What one call of measure did."""

    timed: int  # distinct op calls timed now
    known: int  # distinct op calls the profile had already
    rounds: int
    seconds: float  # wall time spent timing
    ended: str  # settled, time_cap or nothing_to_do
    flags: tuple[str, ...]


def condition_of(trace: Trace, threads: int, timing: Timing = "in_model") -> Condition:
    """The condition that the op calls of this trace are timed in."""
    return Condition.of(timing, trace.device, threads, trace.working_set)


def timings_of(device: str) -> tuple[Timing, ...]:
    """The conditions that a model's op calls must be timed in on this device for an estimate."""
    return LANE_TIMINGS if has_lanes(device) else ("in_model",)


def memory_budget_bytes(device: str) -> int:
    """Of the memory that is free on the device, what op calls may use."""
    return int(free_bytes(device) * POOL_MEMORY_SHARE)


def fits(trace: Trace) -> bool:
    """Whether all op calls fit into memory together, beside the model itself."""
    return len(split(trace, memory_budget_bytes(trace.device))) == 1


def split(trace: Trace, limit_bytes: int) -> list[range]:
    """Consecutive runs of op calls whose arguments fit into this much memory together.

    Raises OpCallError for a single op call that does not fit.
    """
    runs: list[range] = []
    first, held = 0, 0
    seen: set[tuple[int, TensorSpec]] = set()
    for position, traced in enumerate(trace.calls):
        specs = traced.call.tensors()
        needed = {
            (number, spec) if trace.storages[number].kind == "weight" else (-1, spec)
            for number, spec in zip(traced.reads, specs, strict=True)
        }
        alone = sum(spec.nbytes for _, spec in needed)
        if alone > limit_bytes:
            raise OpCallError(f"{traced.call} needs {alone / 1e6:.0f} MB, {limit_bytes / 1e6:.0f} MB may be used: "
                              "use a smaller input or batch")  # fmt: skip
        fresh = sum(spec.nbytes for number, spec in needed - seen)
        if held + fresh > limit_bytes:
            runs.append(range(first, position))
            first, held, fresh = position, 0, alone
            seen = set()
        held += fresh
        seen |= needed
    runs.append(range(first, len(trace.calls)))
    return runs


def lacking(trace: Trace, profile: Profile, condition: Condition) -> set[str]:
    """Keys of the trace's op calls that the profile has no finished measurement of in this condition."""
    return set(trace.unique) - profile.measured(condition, trace.unique)


def host_known(trace: Trace, profile: Profile, threads: int) -> bool:
    """Whether the profile has the model's own host, played to the end among op calls of its condition."""
    return profile.host_measured(condition_of(trace, threads), host_key(trace))


def measure(
    trace: Trace,
    profile: Profile,
    *,
    forward: Forward | None = None,
    threads: int | None = None,
    seed: int = 0,
    max_s: float | None = None,
    progress: Progress = silent,
) -> MeasureSummary:
    """Time the op calls of a trace that the profile lacks, and the model's host.

    Args:
        trace: what to time.
        profile: where every finished round is kept; running again after an interruption goes on from there.
        forward: calls the model on its inputs, so that its own Python can be played among the kernels (which are
            switched off for it: the model is never run). Without it, a table by kind of call serves for the host.
        threads: PyTorch's threads; as they are set now if None.
        seed: of the rounds' order, where it is random.
        max_s: wall seconds of rounds at most; by default 3.5 s or 40 times the model's latency.
        progress: told what is done and how far it is.

    Raises:
        OpCallError: an op call that cannot be rebuilt, bound or timed, or too little memory.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread.
    """
    threads = torch.get_num_threads() if threads is None else threads
    if has_lanes(trace.device):
        with thread_team(threads):
            return _measure_lanes(trace, profile, forward, threads, seed, max_s, progress)
    condition = condition_of(trace, threads)
    missing = lacking(trace, profile, condition)
    known = len(trace.unique) - len(missing)
    if not missing and (forward is None or host_known(trace, profile, threads)):
        return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", ())
    with thread_team(threads):
        start = time.perf_counter()
        host, remark = host_for(trace, forward)
        if not missing and remark:  # its host cannot be played, and the table has been filled with the kernels
            return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", ())
        rounds, flags, endings = 0, [remark] if remark else [], []
        runs = split(trace, memory_budget_bytes(trace.device))
        seconds = time.perf_counter() - start
        for run in runs:
            start = time.perf_counter()
            sampling = Sampling(trace, run, Arguments(trace), profile, condition, host, seed=seed)
            seconds += time.perf_counter() - start
            sampling.warm_up()
            _sample(sampling, max_s, progress)
            ended, complaints = sampling.end()
            rounds += sampling.rounds
            seconds += sampling.seconds
            endings.append(ended)
            flags += complaints
    ended = "settled" if set(endings) == {"settled"} else "time_cap"
    return MeasureSummary(len(missing), known, rounds, seconds, ended, tuple(dict.fromkeys(flags)))


def lane_samplings(
    trace: Trace, profile: Profile, host: Host, threads: int, seed: int, arguments: Arguments
) -> list[Sampling]:  # fmt: skip
    """All of a trace's op calls, warm, in each condition of a device beside the host, the host's own first.

    Raises OpCallError where they do not fit into its memory, and as Sampling does.
    """
    if not fits(trace):
        raise OpCallError(
            f"{trace.model} needs more than {memory_budget_bytes(trace.device) / 1e9:.1f} GB, the share of "
            f"{trace.device} that op calls may use: use a smaller input or batch"
        )
    samplings = []
    for timing in (*LANE_TIMINGS, "recorded") if can_capture(trace.device) else LANE_TIMINGS:
        condition = condition_of(trace, threads, timing)
        played = host if timing == "in_model" else None
        sampling = Sampling(trace, range(len(trace.calls)), arguments, profile, condition, played, seed=seed)
        try:
            sampling.warm_up()
        except ModelError:  # not every model can be recorded, and no estimate of eager inference needs it
            continue
        samplings.append(sampling)
    return samplings


def first_positions(trace: Trace) -> list[int]:
    """Where each distinct op call comes first."""
    first = {traced.call.key: position for position, traced in reversed(list(enumerate(trace.calls)))}
    return sorted(first.values())


def _measure_lanes(
    trace: Trace, profile: Profile, forward: Forward | None, threads: int, seed: int, max_s: float | None,
    progress: Progress,
) -> MeasureSummary:  # fmt: skip
    """Each lane's rounds block by block in turn, until all are sampled enough or the time is up."""
    missing = set().union(
        *(lacking(trace, profile, condition_of(trace, threads, one)) for one in timings_of(trace.device))
    )
    known = len(trace.unique) - len(missing)
    if not missing and (forward is None or host_known(trace, profile, threads)):
        return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", ())
    start = time.perf_counter()
    host, remark = host_for(trace, forward)
    samplings = lane_samplings(trace, profile, host, threads, seed, Arguments(trace))
    cap_s = len(samplings) * MAX_S if max_s is None else max_s
    begin = time.perf_counter()

    def enough() -> bool:
        spent_s = time.perf_counter() - begin
        in_order = [sampling for sampling in samplings if sampling.condition.in_order]
        return samplings[-1].rounds >= MIN_ROUNDS and (
            spent_s >= cap_s or (spent_s >= min(MIN_S, cap_s) and all(one.settled for one in in_order))
        )

    def report() -> None:
        spent_s = time.perf_counter() - begin
        progress(f"{trace.model}: {samplings[0].rounds} rounds of each lane", min(1.0, spent_s / cap_s))

    interleave_together(samplings, lambda sampling: sampling.block(MIN_ROUNDS), enough=enough, progress=report)
    endings, flags = zip(*(sampling.end() for sampling in samplings), strict=True)
    progress(f"{trace.model}: {samplings[0].rounds} rounds of each lane", 1.0)
    return MeasureSummary(
        len(missing), known, sum(sampling.rounds for sampling in samplings), time.perf_counter() - start,
        "settled" if set(endings) == {"settled"} else "time_cap",
        tuple(dict.fromkeys([*([remark] if remark else []), *(flag for some in flags for flag in some)])),
    )  # fmt: skip


def _sample(sampling: Sampling, max_s: float | None, progress: Progress) -> None:
    """Blocks of rounds until all op calls are sampled enough, or the time is up."""
    start = time.perf_counter()
    latency_s = sampling.block(1)
    cap_s = max(MAX_S, MAX_LATENCIES * latency_s) if max_s is None else max_s
    runs = runs_in_block(latency_s)

    def enough() -> bool:
        spent_s = time.perf_counter() - start
        sampled = sampling.rounds >= MIN_ROUNDS and spent_s >= min(MIN_S, cap_s)
        return sampled and (spent_s >= cap_s or sampling.settled)

    def report() -> None:
        spent_s = time.perf_counter() - start
        progress(f"{sampling.trace.model}: round {sampling.rounds}", min(1.0, spent_s / cap_s))

    interleave_together([sampling], lambda one: one.block(runs), enough=enough, progress=report)
    progress(f"{sampling.trace.model}: {sampling.rounds} rounds", 1.0)
