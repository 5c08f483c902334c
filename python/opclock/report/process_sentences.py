"""How processes that took turns differ, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from opclock.formatting import COUNT, SECONDS, percent, quantity
from opclock.profiles.processes import differing_layouts

if TYPE_CHECKING:
    from opclock.profiles.processes import ProcessTimes
    from opclock.validation.results import Row


LEAST_SHARE = 0.01  # of an error by page faults, as a fraction of the time: less is not worth a word


def of_estimate(processes: Sequence[ProcessTimes]) -> str:
    """Say how the processes of an estimate differ: their figures with many page faults and with few, where they decide.

    "" for one process.
    """
    if len(processes) < 2:
        return ""
    layouts = differing_layouts(processes)
    if layouts is None:
        return f"{_processes(len(processes))}: {_range(processes)}; the interval holds their spread, more narrow it"
    many, few = layouts
    return f"page faults decide: {len(many)} of {len(processes)} processes {_typical(many)}; {len(few)} {_typical(few)}"


def of_validation(row: Row) -> str:
    """Say how the processes of the estimate and of the reference differ, and which had page faults where they decide.

    "" for one process.
    """
    if len(row.reference.process_times) < 2:
        return ""
    share = row.page_fault_error
    if share is not None and abs(share) >= LEAST_SHARE:
        return (
            f"{_processes_of(row)}; page faults, which differ by chance, are {percent(share, signed=True)} of the error"
        )
    return _processes_of(row)


def _processes_of(row: Row) -> str:
    kernels, references = row.estimate.processes, row.reference.process_times
    if row.layouts is None:
        timing = f"kernels in {_processes(len(kernels))}: {_range(kernels)}; " if kernels else ""
        apart = percent(row.reference.process_spread)
        return f"{timing}the model in {_processes(len(references))}: {_range(references)}, {apart} apart"
    many, few = row.layouts
    return "page faults decide: " + "; ".join(f"{_kinds(group, references)} {_typical(group)}" for group in (many, few))


def _kinds(group: Sequence[ProcessTimes], references: Sequence[ProcessTimes]) -> str:
    """How many of these processes ran the model, and how many timed kernels."""
    running = sum(any(one is reference for reference in references) for one in group)
    timing = len(group) - running
    counts = [(timing, "with kernels"), (running, "with the model")]
    return " and ".join(f"{_processes(count)} {kind}" for count, kind in counts if count)


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _range(processes: Sequence[ProcessTimes]) -> str:
    """The shortest and the longest median."""
    medians_s = [one.median_s for one in processes]
    if len(medians_s) == 1:
        return quantity(medians_s[0], SECONDS)
    return f"{quantity(min(medians_s), SECONDS)} to {quantity(max(medians_s), SECONDS)}"


def _typical(processes: Sequence[ProcessTimes]) -> str:
    """The mean seconds and page faults of these processes."""
    seconds = sum(one.median_s for one in processes) / len(processes)
    faults = sum(one.faults or 0.0 for one in processes) / len(processes)
    takes = "takes" if len(processes) == 1 else "take"
    number = quantity(round(faults), COUNT) if faults >= 1 else "no"
    return f"{takes} {quantity(seconds, SECONDS)} with {number} page faults"
