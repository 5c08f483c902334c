"""What pieces of the benchmark leave for the next one, in a folder."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.predictor.reference_process import Halves
from opclock.tracing.trace import Trace


class Piece:
    """A part of the benchmark that takes so many seconds, about; the whole where None."""

    def __init__(self, seconds: float | None) -> None:
        self._until = math.inf if seconds is None else time.perf_counter() + seconds

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return time.perf_counter() > self._until


class Kept:
    """The traces, the samples of the reference's processes, and the seconds of sweeping.

    Args:
        folder: holds them.
    """

    def __init__(self, folder: Path) -> None:
        self._references, self._sweep = folder / "references.jsonl", folder / "sweep.jsonl"
        self._traces = folder / "traces"
        self._traces.mkdir(parents=True, exist_ok=True)

    def trace(self, name: str, make: Callable[[], Trace]) -> Trace:
        """The trace of a model, made where an earlier piece has not."""
        path = self._traces / f"{name.replace('/', '_')}.json"
        if not path.exists():
            make().save(path)
        return Trace.load(path)

    def references(self) -> list[dict[str, Halves]]:
        """What each process of earlier pieces sampled, by the model's name, in the order they ran."""
        return [json.loads(line) for line in _lines(self._references)]

    def add_reference(self, halves_by_name: dict[str, Halves]) -> None:
        """Keep what one process sampled."""
        _append(self._references, json.dumps(halves_by_name))

    @property
    def sweep_s(self) -> float:
        """Seconds of planning and sweeping so far."""
        return math.fsum(float(line) for line in _lines(self._sweep))

    def add_sweep_s(self, seconds: float) -> None:
        """Add those of a piece."""
        _append(self._sweep, str(seconds))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
