"""The Trace Event Format: timelines that ui.perfetto.dev, chrome://tracing and other viewers open.

The format is Google's "Trace Event Format", which chrome://tracing links to. Slices are pairs of the phases "B" and
"E", names of processes and lanes are phase "M", arrows are "s" and "f". One event of the phase "X" would say the same
as a pair, but viewers add its time and duration up, and rounding then moves it out of the slice around it. The format's
times are in microseconds, this module's in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opclock.files import write_json

DIGITS = 3  # of microseconds: a nanosecond
MICROSECONDS = 1e6

MAX_ARROWS = 1 << 20  # of a process

Event = dict[str, Any]
Details = Mapping[str, Any]  # JSON-ready


class Lane:
    """One row of a timeline: slices that follow each other or lie inside each other."""

    def __init__(self, process: int, number: int, name: str) -> None:
        self._place = {"pid": process, "tid": number}
        self._open: list[str] = []  # names of slices
        self.events: list[Event] = [
            {"ph": "M", "name": "thread_name", **self._place, "args": {"name": name}},
            {"ph": "M", "name": "thread_sort_index", **self._place, "args": {"sort_index": number}},
        ]

    def begin(self, name: str, at_s: float, category: str, details: Details | None = None) -> None:
        """Begin a slice inside the one that is open. Viewers show the details; those that are None are left out."""
        shown = {key: value for key, value in (details or {}).items() if value is not None}
        self._add("B", at_s, name=name, cat=category, **({"args": shown} if shown else {}))
        self._open.append(name)

    def end(self, at_s: float) -> None:
        """End the slice that began last."""
        self._add("E", at_s, name=self._open.pop())  # without the name Speedscope would not end it

    def slice(self, name: str, begin_s: float, end_s: float, category: str, details: Details | None = None) -> None:
        """Add a slice inside the one that is open."""
        self.begin(name, begin_s, category, details)
        self.end(end_s)

    def arrow(self, number: int, at_s: float, *, ends: bool) -> None:
        """Begin or end an arrow at the slice that is open. Both ends have one number, which is the process's own."""
        bound = {"bp": "e"} if ends else {}
        place = self._place["pid"] * MAX_ARROWS + number
        self._add("f" if ends else "s", at_s, name="enqueued", cat="arrow", id=place, **bound)

    def _add(self, phase: str, at_s: float, **more: Any) -> None:  # noqa: ANN401
        at_us = round(float(at_s) * MICROSECONDS, DIGITS)
        self.events.append({"ph": phase, "ts": at_us, **self._place, **more})


class TraceEvents:
    """A whole timeline: lanes by process. Processes and lanes are shown in the order in which they are added."""

    def __init__(self, **about: Any) -> None:  # noqa: ANN401
        """Begin an empty one. ``about`` is kept in the file as "otherData"."""
        self._about = about
        self._names: list[Event] = []
        self._lanes: list[Lane] = []
        self._processes = 0

    def process(self, name: str) -> None:
        """Begin a new process: a group of lanes with a heading."""
        self._processes += 1
        for kind, value in (("name", name), ("sort_index", self._processes)):
            place = {"pid": self._processes, "tid": 0}
            self._names.append({"ph": "M", "name": f"process_{kind}", **place, "args": {kind: value}})

    def lane(self, name: str) -> Lane:
        """Add a lane to the last process."""
        lane = Lane(self._processes, len(self._lanes) + 1, name)
        self._lanes.append(lane)
        return lane

    def to_json(self) -> dict[str, Any]:
        """The file's content, JSON-ready."""
        events = [*self._names, *(event for lane in self._lanes for event in lane.events)]
        return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": self._about}

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises OptionError where it cannot be written."""
        write_json(path, self.to_json(), indent=None)
