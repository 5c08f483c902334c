"""Tables of an estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opclock.flags import untrusted
from opclock.formatting import SECONDS, counted, percent, quantity
from opclock.report.table import Table, numbers, percents, texts

if TYPE_CHECKING:
    from opclock.estimation.device_timeline import DeviceTimeline
    from opclock.estimation.result import Estimate


MIN_SHIFT = 0.005  # a smaller change is not worth a line


def summary(estimate: Estimate) -> str:
    """The setting, the latency with its interval, and the coverage in one line."""
    low, high = quantity(estimate.ci_low_s, SECONDS), quantity(estimate.ci_high_s, SECONDS)
    doubts = untrusted(estimate.flags)
    source = f"not reliable ({', '.join(doubts)}): timed" if doubts else "measured"
    coverage = estimate.coverage
    return (
        f"{estimate.model}, {estimate.setting}: {quantity(estimate.total_s, SECONDS)} [{low}, {high}]; "
        f"{source} {percent(coverage.measured)}, modelled {percent(coverage.modelled)}, "
        f"unknown {percent(coverage.unknown)}"
    )


def share_table(name: str, seconds: dict[str, float], total_s: float) -> Table:
    """The time of each operator class or module, and its share of the total."""
    return Table([
        texts(name, [key or "(model)" for key in seconds]),
        numbers("time", list(seconds.values()), SECONDS),
        percents("share", [value / total_s if total_s else None for value in seconds.values()]),
    ])  # fmt: skip


def state_sentence(estimate: Estimate) -> str:
    """Say what the machine's state changes in an estimate, or that it is not known; "" where it changes nothing."""
    shift = estimate.shift
    if shift is None and estimate.setting.device == "cpu":
        return "machine state: not known, as the profile has no control workloads of these measurements"
    if shift is None or abs(shift.log) < MIN_SHIFT:
        return ""
    change = shift.to_json()
    return (
        f"machine state: {percent(change['change'], signed=True)} (within {percent(change['half_width'])}) against the "
        "rounds that were timed, by control workloads"
    )


def controls_sentence(estimate: Estimate) -> str:
    """Name the control workloads that are left out; "" where none are."""
    names = ", ".join(estimate.left_out_controls)
    return f"control workloads with impossible seconds, which do not count: {names}" if names else ""


def interruption_sentence(estimate: Estimate) -> str:
    """Say how many rounds there are of a measurement that did not end; "" where it ended."""
    if estimate.interrupted_after is None:
        return ""
    rounds = counted(estimate.interrupted_after, "round")
    return f"the measurement of {estimate.model} was interrupted after {rounds}, or still goes on"


def device_sentence(lanes: DeviceTimeline) -> str:
    """Say how busy the device is, and how long a recorded graph takes."""
    return (
        f"device busy {quantity(lanes.busy_s, SECONDS)}, idle {percent(lanes.idle_share)} of the time; "
        f"{percent(lanes.launch_bound_share)} of its calls wait for the host; as a recorded graph "
        f"{quantity(lanes.replay_s, SECONDS)}"
    )


def change_table(first: Estimate, changed: Estimate) -> Table:
    """The time of each operator class before and after a change, the largest change first, and the total last."""
    before, after = first.by_class(), changed.by_class()
    changes = {name: after.get(name, 0.0) - before.get(name, 0.0) for name in {**before, **after}}
    names = sorted(changes, key=lambda name: -abs(changes[name]))
    return Table([
        texts("operator class", [*names, "(total)"]),
        numbers("before", [*(before.get(name, 0.0) for name in names), first.total_s], SECONDS),
        numbers("after", [*(after.get(name, 0.0) for name in names), changed.total_s], SECONDS),
        numbers("difference", [*(changes[name] for name in names), changed.total_s - first.total_s], SECONDS,
                signed=True),
    ])  # fmt: skip
