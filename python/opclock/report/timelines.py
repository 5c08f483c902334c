"""Timelines of traces, estimates and validations, for viewers of the Trace Event Format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from opclock.flags import validity
from opclock.report.trace_events import Lane, TraceEvents
from opclock.tracing.macs import macs
from opclock.tracing.operator_classes import class_of
from opclock.version import VERSION

if TYPE_CHECKING:
    from opclock.estimation.device_timeline import DeviceTimeline
    from opclock.estimation.result import Estimate, Part
    from opclock.profiles.statistics import Samples
    from opclock.tracing.trace import Trace
    from opclock.validation.attribution import Explanation
    from opclock.validation.results import Row, Validation

HOST, KERNEL, MODULE, WAIT = "host", "kernel", "module", "wait"  # categories of slices
UNIT_S = 1e-6  # width of an op call in a timeline without times
NO_TIMES = f"op calls in order: each {UNIT_S * 1e6:.0f} µs wide, no time was measured"
IN_TURN = "estimated: host and kernels in turn, on one thread"


class _Modules:
    """Opens and closes the slices of modules around op calls. Calls in a row from one module share its slice."""

    def __init__(self, lane: Lane, model: str, about: Mapping[str, Any], at_s: float = 0.0) -> None:
        self._lane, self._open, self._at_s = lane, list[str](), at_s
        lane.begin(model, at_s, MODULE, about)

    def enter(self, path: str, at_s: float) -> None:
        """The next slice, which begins here, belongs to this module."""
        wanted = path.split(".") if path else []
        kept = 0
        while kept < min(len(wanted), len(self._open)) and wanted[kept] == self._open[kept]:
            kept += 1
        for _ in self._open[kept:]:
            self._lane.end(self._at_s)
        for depth in range(kept, len(wanted)):
            self._lane.begin(wanted[depth], at_s, MODULE, {"module": ".".join(wanted[: depth + 1])})
        self._open = wanted

    def reached(self, at_s: float) -> None:
        """The last slice ends here."""
        self._at_s = at_s

    def close(self, at_s: float) -> None:
        """End all of them."""
        for _ in self._open:
            self._lane.end(self._at_s)
        self._lane.end(at_s)


def of_trace(trace: Trace) -> TraceEvents:
    """The op calls of a model in order, in their modules. They are equally wide: a trace knows no times."""
    events = TraceEvents(opclock=VERSION, model=trace.model, input=trace.input_text, times="none: only the order")
    events.process(f"{trace.model} {trace.input_text}")
    lane = events.lane(NO_TIMES)
    modules = _Modules(lane, trace.model, {"op_calls": len(trace.calls)})
    for position, traced in enumerate(trace.calls):
        begin_s, end_s = position * UNIT_S, (position + 1) * UNIT_S
        modules.enter(traced.module, begin_s)
        details = {"op_call": str(traced.call), "operator_class": class_of(traced.call), "macs": macs(traced)}
        lane.slice(traced.call.operator, begin_s, end_s, KERNEL, {**details, "module_type": traced.module_type})
        modules.reached(end_s)
    modules.close(len(trace.calls) * UNIT_S)
    return events


def of_estimate(estimate: Estimate) -> TraceEvents:
    """The expected inference of an estimate."""
    events = TraceEvents(opclock=VERSION, model=estimate.model, setting=str(estimate.setting))
    events.process(f"{estimate.model}, {estimate.setting}")
    _add_estimate(events, estimate)
    return events


def of_validation(validation: Validation) -> TraceEvents:
    """For each model: the measured inference, the observed op calls where there are some, and the estimate."""
    events = TraceEvents(opclock=VERSION, board=validation.board["identity"])
    for row in validation.rows:
        events.process(f"{row.trace.model}, {row.estimate.setting}")
        _add_reference(events, row)
        if row.explanation is not None:
            _add_observed(events, row.explanation)
        _add_estimate(events, row.estimate)
    return events


def _add_reference(events: TraceEvents, row: Row) -> None:
    low_s, high_s = row.reference.interval_s
    lane = events.lane("measured: the median inference")
    about = {"total_s": row.reference.median_s, "ci_low_s": low_s, "ci_high_s": high_s, "validity": validity(row.flags),
             "error_of_estimate": row.error}  # fmt: skip
    lane.slice(row.trace.model, 0.0, row.reference.median_s, MODULE, about)


def _add_observed(events: TraceEvents, explanation: Explanation) -> None:
    """Op calls that were timed inside the real model, which takes a little longer than running it alone."""
    host_s, kernel_s = explanation.observed_host_parts, explanation.observed_parts
    total_s = float(host_s.sum() + kernel_s.sum())
    lane = events.lane("observed: host and kernels of a typical inference")
    details = [{"op_call": part.op_call, "macs": part.macs} for part in explanation.estimate.parts]
    about = {"total_s": total_s, "inferences": len(explanation.observed)}
    _in_turn(lane, explanation.estimate, kernel_s, host_s, details, about)


def _add_estimate(events: TraceEvents, estimate: Estimate) -> None:
    about = {
        "total_s": estimate.total_s,
        "ci_low_s": estimate.ci_low_s,
        "ci_high_s": estimate.ci_high_s,
        "flags": list(estimate.flags),
        "validity": validity(estimate.flags),
    }
    if estimate.lanes is not None:
        _host_and_device(events, estimate, estimate.lanes, about)
        return
    kernel_s = np.array([part.kernel_s or 0.0 for part in estimate.parts])
    host_s = np.array([*(part.host_s for part in estimate.parts), estimate.host_tail_s])
    _in_turn(events.lane(IN_TURN), estimate, kernel_s, host_s, list(map(_details, estimate.parts)), about)


def _details(part: Part) -> dict[str, Any]:
    """What a viewer shows of an op call."""
    return {
        "op_call": part.op_call,
        "operator_class": part.operator_class,
        "macs": part.macs,
        "kernel_s": part.kernel_s,
        "kernel_low_s": part.kernel_low_s,
        "kernel_high_s": part.kernel_high_s,
        "source": part.source,
        "validity": part.validity,
    }


def _in_turn(
    lane: Lane, estimate: Estimate, kernel_s: Samples, host_s: Samples, details: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any],
) -> None:  # fmt: skip
    """Host and kernels on one thread: before each op call the host's work, then its kernel."""
    modules, now_s = _Modules(lane, estimate.model, about), 0.0
    for part, kernel, host, shown in zip(estimate.parts, kernel_s, host_s[:-1], details, strict=True):
        begin_s, end_s = now_s + float(host), now_s + float(host + kernel)
        modules.enter(part.module, now_s)
        lane.slice(HOST, now_s, begin_s, HOST)
        lane.slice(part.operator, begin_s, end_s, KERNEL, shown)
        modules.reached(end_s)
        now_s = end_s
    end_s = now_s + float(host_s[-1])
    modules.enter("", now_s)
    lane.slice(HOST, now_s, end_s, HOST)
    modules.close(end_s)


def _host_and_device(
    events: TraceEvents, estimate: Estimate, lanes: DeviceTimeline, about: Mapping[str, Any]
) -> None:  # fmt: skip
    """The host enqueues op calls and the device executes them. An arrow leads from one to the other."""
    own_s, typical = lanes.typical()
    issued_s, started_s, ended_s = (
        times[0].tolist() for times in (typical.issued_s, typical.started_s, typical.ended_s)
    )
    host, now_s = events.lane("estimated: host"), 0.0
    modules = _Modules(host, estimate.model, about)
    for position, part in enumerate(estimate.parts):
        enqueuing_s = now_s + float(own_s[position])
        modules.enter(part.module, now_s)
        host.slice(HOST, now_s, enqueuing_s, HOST)
        host.begin(part.operator, enqueuing_s, HOST, {"op_call": part.op_call})
        if ended_s[position] > started_s[position]:
            host.arrow(position, enqueuing_s, ends=False)
        now_s = issued_s[position]
        host.end(now_s)
        if lanes.waits[position] and ended_s[position] > now_s:
            host.slice("waits for the device", now_s, ended_s[position], WAIT)
            now_s = ended_s[position]
        modules.reached(now_s)
    modules.enter("", now_s)
    host.slice(HOST, now_s, now_s + float(own_s[-1]), HOST)
    modules.close(now_s + float(own_s[-1]))
    executed = [position for position in range(len(estimate.parts)) if ended_s[position] > started_s[position]]
    if executed:
        _device(events, estimate, lanes, [(position, started_s[position], ended_s[position]) for position in executed])


def _device(
    events: TraceEvents, estimate: Estimate, lanes: DeviceTimeline, executed: Sequence[tuple[int, float, float]]
) -> None:  # fmt: skip
    """What the device executes: op calls by position, with when each started and ended."""
    device = events.lane(f"estimated: {estimate.setting.device}")
    modules = _Modules(device, estimate.model, {"busy_s": lanes.busy_s}, executed[0][1])
    for position, started_s, ended_s in executed:
        part = estimate.parts[position]
        low_s, high_s, _ = lanes.device[position]
        modules.enter(part.module, started_s)
        device.begin(part.operator, started_s, KERNEL, {
            **_details(part), "device_s": float(lanes.device_s[position]), "device_low_s": low_s,
            "device_high_s": high_s,
        })  # fmt: skip
        device.arrow(position, started_s, ends=True)
        device.end(ended_s)
        modules.reached(ended_s)
    modules.close(executed[-1][2])
