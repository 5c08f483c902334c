"""Estimates a model's latency from its trace and a profile. Runs no kernel and needs no board."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from opclock.argument_checks import Count, checked
from opclock.errors import EstimateError
from opclock.estimation.device_timeline import DeviceTimeline, read_timeline
from opclock.estimation.host_costs import HostWork
from opclock.estimation.kernel_times import KernelTimes, Share
from opclock.estimation.page_faults import PageFaults
from opclock.estimation.result import Coverage, Estimate, Part
from opclock.estimation.setting import Setting, choose_setting, no_measurement
from opclock.estimation.variants import other_variants
from opclock.flags import Flag, ordered, precision_flags
from opclock.prediction.ceilings import shortest_times
from opclock.prediction.predictor import too_small
from opclock.profiles.condition import Condition, Timing
from opclock.profiles.machine_state import MachineState
from opclock.profiles.pool import interrupted_after
from opclock.profiles.processes import ProcessTimes, process_times
from opclock.profiles.reader import ProfileReader
from opclock.profiles.shift import mean_shift
from opclock.profiles.state_change import StateChange
from opclock.profiles.statistics import TWO_SIDED_95, Samples
from opclock.tracing.macs import macs, uncounted
from opclock.tracing.operator_classes import class_of
from opclock.tracing.placement import place
from opclock.tracing.trace import Trace, TracedCall, check_calls

# Standard deviation of what an estimate misses beside what its rounds show: a pool is not quite the model. A fraction
# of the total, from the development set: 91 % of its 95 % intervals hold with it, 72 % without (docs/accuracy.md).
COMPOSITION_DEVIATION = 0.02
UNKNOWN: tuple[Flag, ...] = ("incomplete",)  # flags of an op call without a time


@checked
def estimate(
    trace: Trace,
    profile: ProfileReader,
    *,
    threads: Count | None = None,
    device: object | None = None,
    dtype: object | None = None,
    timing: Timing = "in_model",
    host: bool = True,
    measured_only: bool = False,
    state: MachineState | None = None,
) -> Estimate:
    """Compose a model's latency from the profile's measurements, and from predictions where it has none.

    For each pool, the times of kernels and host are added up round by round, and the median of these sums counts. A sum
    of medians would be too low: it leaves out the disturbances that a real inference has as well. Op calls without a
    measurement are predicted from the profile's sweeps. The interval is the sum of the intervals of all parts, as if
    all their errors had the same sign. On a CPU it also has room for what a pool and a model were found to differ by,
    ``COMPOSITION_DEVIATION``; the flag "imprecise" looks at the rounds alone.

    By default the estimate is for the setting in which the profile has this model. The number of threads is the one
    with the most measured op calls of the model; of equals, the largest. Device and dtype are those of the trace. Where
    the profile has nothing for the model there, they are the only others it has. ``Estimate.setting`` holds the choice.

    Args:
        trace: the model.
        profile: the board's measurements; they are only read. What is learnt from its sweeps is kept in the file where
            that can be written.
        threads: PyTorch's threads; measurements with another number do not count. None: see above.
        device: such as "cpu" or "cuda:0", or a torch.device. None: see above.
        dtype: type of parameters and activations, such as "float16", or a torch.dtype. None: see above.
        timing: how the kernels were timed; only for "in_model" are missing op calls predicted.
        host: whether to include the host's cost.
        measured_only: predict nothing; op calls without a measurement are unknown.
        state: of the machine, for which the estimate holds: ``usual_state`` of another profile, or ``current_state``.
            None: the usual one of this profile. Seconds are scaled by the control workloads, see ``StateChange``.

    Returns:
        The estimate, in seconds. Its flags say what may make it wrong, such as "other_device" and "other_dtype".

    Raises:
        EstimateError: the profile has nothing for this model in this setting, or has it on several other devices; or a
            state is given, and the model is not on the CPU or the profile has no control workloads.
        ProfileError: the profile cannot be read, or is not open.
        TraceError: no trace was given, or the model makes no op call.
        OptionError: a number of threads that is not a whole number of at least 1, or another wrong argument.
    """
    check_calls(trace)
    wanted_device, wanted_dtype = _plain_name(device), _plain_name(dtype)
    setting = choose_setting(trace, profile, threads=threads, device=wanted_device, dtype=wanted_dtype, timing=timing)
    placed = place(trace, setting.device, setting.dtype)
    condition = Condition.of(timing, setting.device, setting.threads, placed.working_set)
    timeline = read_timeline(placed, profile, condition) if timing == "in_model" and host else None
    if state is not None and setting.device != "cpu":
        raise EstimateError(
            f"the model is on {setting.device}: control workloads show the state of the CPU alone; leave the state out"
        )
    if timeline is not None:
        composed = _of_timeline(placed, setting, timeline)
    else:
        change = StateChange(profile, setting.threads, state)
        kernels = KernelTimes.read(placed, profile, condition, measured_only=measured_only).in_state(change)
        if not kernels.seconds:
            predicts = timing == "in_model" and setting.device == "cpu" and not measured_only
            small = too_small(placed, profile, setting.threads) if predicts else ""
            missing = small or no_measurement(placed, profile, *setting)
            raise EstimateError(missing + other_variants(placed, profile))
        host_work = HostWork.read(placed, profile, condition, kernels.pools.values(), change) if host else None
        composed = _of_sums(placed, setting, condition, kernels, host_work)
        composed = replace(composed, shift=composed.shift if change.known else None, left_out_controls=change.left_out)
    settings_flags = _setting_flags(trace, setting, wanted_device, wanted_dtype, profile)
    flags = ordered([*settings_flags, *composed.flags, *_own_flags(composed)])
    if timing == "in_model" and host and timeline is None:
        composed = _with_composition(composed)
    parts = _with_roofline(composed.parts, placed, profile, setting.threads)
    return replace(composed, flags=flags, parts=parts, uncounted_operators=tuple(uncounted(placed)))


def _with_composition(estimate: Estimate) -> Estimate:
    """The estimate whose interval has room for what a pool and a model differ by, an independent error."""
    error_s = TWO_SIDED_95 * COMPOSITION_DEVIATION * estimate.total_s
    low_s = estimate.total_s - math.hypot(estimate.total_s - estimate.ci_low_s, error_s)
    high_s = estimate.total_s + math.hypot(estimate.ci_high_s - estimate.total_s, error_s)
    return replace(estimate, ci_low_s=max(0.0, low_s), ci_high_s=high_s)


def _with_roofline(parts: tuple[Part, ...], trace: Trace, profile: ProfileReader, threads: int) -> tuple[Part, ...]:
    """The parts with their shortest times, on the CPU; the ceilings of other devices are not measured."""
    shortest_s = shortest_times(trace, profile, threads) if trace.device == "cpu" else {}
    if not shortest_s:
        return parts
    return tuple(
        replace(part, roofline_s=shortest_s[traced.call.key]) for part, traced in zip(parts, trace.calls, strict=True)
    )


def _plain_name(value: object | None) -> str | None:
    """The name of a device or dtype, which may also be torch's object: "float32" for torch.float32."""
    return None if value is None else str(value).removeprefix("torch.")


def _setting_flags(
    trace: Trace, setting: Setting, device: str | None, dtype: str | None, profile: ProfileReader
) -> tuple[Flag, ...]:
    """Flags of the setting: an emulated board, and a device or dtype that was not asked for."""
    flags: dict[Flag, bool] = {
        "emulated": bool(profile.board().get("emulator")),
        "other_device": device is None and setting.device != trace.device,
        "other_dtype": dtype is None and setting.dtype != trace.dtype,
    }
    return tuple(name for name, holds in flags.items() if holds)


def _own_flags(estimate: Estimate) -> tuple[Flag, ...]:
    """Flags of the sum itself: an interval that is too wide, and op calls without a time."""
    imprecise = precision_flags(estimate.total_s, estimate.ci_low_s, estimate.ci_high_s)
    return imprecise if estimate.complete else (*imprecise, "incomplete")


def _sums(kernels: KernelTimes, host: HostWork | None) -> dict[int, Samples]:
    """By pool: the sum of what is taken from it, in seconds, by round."""
    sums = kernels.measured_sums()
    if host is not None and host.pool in sums:
        sums[host.pool] = sums[host.pool] + host.rounds_s
    return sums


def _page_faults(
    trace: Trace, kernels: KernelTimes, host: HostWork | None, sums: dict[int, Samples]
) -> PageFaults | None:
    """Of the pool that has all op calls and the host; None where several share them, or nothing is known."""
    if host is None or set(sums) != {host.pool} or kernels.predictions:
        return None
    pool = next(iter(kernels.pools.values()))
    return PageFaults.of(pool, sums[pool.number]) if len(pool.keys) == len(trace.calls) else None


def _shares(sums: dict[int, Samples], kernels: KernelTimes, host: HostWork | None) -> list[Share]:
    """The parts of the total: each pool's rounds, the predictions, and the host where no pool has it."""
    shares = [kernels.predicted_share()] if kernels.predictions else []
    if host is not None and host.pool not in sums:
        shares.append(Share(host.total_s, *host.interval_s, host.shift))
    pools = {pool.number: pool for pool in kernels.pools.values()}
    measured = [
        Share.of(rounds_s, pools[number].blocks, pools[number].processes).widened(pools[number].shift)
        for number, rounds_s in sums.items()
    ]
    return [*measured, *shares]


def _processes(sums: dict[int, Samples], kernels: KernelTimes, faults: PageFaults | None) -> tuple[ProcessTimes, ...]:
    """What each process measured, in the pool with most of the time."""
    if not sums:
        return ()
    number = max(sums, key=lambda one: float(np.median(sums[one])))
    pool = next(pool for pool in kernels.pools.values() if pool.number == number)
    counted = pool.faults if faults is None or faults.pool != number else faults.of_model
    return process_times(sums[number], counted, blocks=pool.blocks, processes=pool.processes)


def _of_sums(
    trace: Trace, setting: Setting, condition: Condition, kernels: KernelTimes, host: HostWork | None
) -> Estimate:
    """The estimate without a device: kernels and host in sequence. The parts are scaled to add up to the total."""
    sums = _sums(kernels, host)
    faults = _page_faults(trace, kernels, host, sums)
    if faults is not None:
        sums[faults.pool] = sums[faults.pool] + faults.rounds_s
    shares = _shares(sums, kernels, host)
    host_s = np.zeros(len(trace.calls) + 1) if host is None else host.calls_s
    total_s = math.fsum(share.median_s for share in shares)
    term = kernels.faults if faults is None else faults
    faults_s = np.zeros(len(trace.calls)) if term is None else term.by_call_s(trace)
    kernels_s = math.fsum(kernels.seconds.get(traced.call.key, 0.0) for traced in trace.calls)
    parts_s = kernels_s + float(faults_s.sum()) + float(host_s.sum())
    scale = total_s / parts_s if parts_s > 0 else 1.0
    error_s = (0.0 if host is None else host.watching_error_s) + (0.0 if faults is None else faults.error_s)
    parts = tuple(
        _part(position, traced, kernels, float(host_s[position]) * scale, float(faults_s[position]), scale)
        for position, traced in enumerate(trace.calls)
    )
    return Estimate(
        model=trace.model,
        setting=setting,
        total_s=total_s,
        ci_low_s=max(0.0, math.fsum(share.low_s for share in shares) - error_s),
        ci_high_s=math.fsum(share.high_s for share in shares) + error_s,
        parts=parts,
        host_tail_s=float(host_s[-1]) * scale,
        coverage=_coverage(parts, total_s, 0.0 if host is None else host.modelled_s * scale),
        unknown=tuple(str(call) for key, call in trace.unique.items() if key not in kernels.seconds),
        flags=(*kernels.flags(condition), *(() if host is None else host.flags)),
        processes=_processes(sums, kernels, faults),
        page_fault_s=None if faults is None else faults.cost.seconds,
        interrupted_after=interrupted_after(kernels.pools.values()),
        shift=mean_shift([share.median_s for share in shares], [share.shift for share in shares]),
    )


def _part(
    position: int, traced: TracedCall, kernels: KernelTimes, host_s: float, faults_s: float, scale: float
) -> Part:
    key = traced.call.key
    part = Part(position, traced.module, traced.call.operator, class_of(traced.call), macs(traced), None, host_s,
                kernels.source(key), str(traced.call), flags=UNKNOWN)  # fmt: skip
    if key not in kernels.seconds:
        return part
    low_s, high_s, flags = kernels.precision[key]
    seconds, low_s, high_s = ((one + faults_s) * scale for one in (kernels.seconds[key], low_s, high_s))
    return replace(part, kernel_s=seconds, kernel_low_s=max(0.0, low_s), kernel_high_s=high_s, flags=flags)


def _of_timeline(trace: Trace, setting: Setting, timeline: DeviceTimeline) -> Estimate:
    """The estimate with a device beside the host. The parts are what each op call adds to the latency."""
    unknown = timeline.unknown
    parts = tuple(
        Part(position, traced.module, traced.call.operator, class_of(traced.call), macs(traced),
             None if traced.call.key in unknown else float(timeline.kernel_s[position]),
             float(timeline.host_s[position]), "unknown" if traced.call.key in unknown else "measured",
             str(traced.call), flags=UNKNOWN if traced.call.key in unknown else timeline.device[position].flags)
        for position, traced in enumerate(trace.calls)
    )  # fmt: skip
    return Estimate(
        model=trace.model,
        setting=setting,
        total_s=timeline.total_s,
        ci_low_s=timeline.ci_low_s,
        ci_high_s=timeline.ci_high_s,
        parts=parts,
        host_tail_s=float(timeline.host_s[-1]),
        coverage=_coverage(parts, timeline.total_s, timeline.modelled_host_s),
        unknown=tuple(str(call) for key, call in trace.unique.items() if key in unknown),
        flags=timeline.flags,
        lanes=timeline,
        interrupted_after=timeline.interrupted_after,
    )


def _coverage(parts: Sequence[Part], total_s: float, modelled_host_s: float) -> Coverage:
    """Where the time comes from. Op calls without a time take the mean kernel time of those that have one.

    Without that, an estimate that leaves nearly everything out would be called measured.
    """
    known_s = [part.kernel_s for part in parts if part.kernel_s is not None]
    lost = sum(part.source == "unknown" for part in parts)
    modelled_s = modelled_host_s + math.fsum(part.kernel_s or 0.0 for part in parts if part.source == "modelled")
    lost_s = lost * float(np.mean(known_s)) if known_s else 0.0
    whole_s = total_s + lost_s
    if whole_s <= 0 or len(known_s) == 0:
        return Coverage(0.0, 0.0, 1.0, lost) if lost else Coverage(1.0, 0.0, 0.0)
    unknown = lost_s / whole_s
    modelled = min(1.0 - unknown, max(0.0, modelled_s / whole_s))
    return Coverage(max(0.0, 1.0 - modelled - unknown), modelled, unknown, lost)
