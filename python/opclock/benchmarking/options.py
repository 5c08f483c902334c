"""Sampling options and timeouts."""

from __future__ import annotations

from dataclasses import dataclass

from opclock.argument_checks import Count, Seconds, check_fields


@dataclass(frozen=True)
class SamplingOptions:
    """How long to sample a candidate.

    Attributes:
        warmup: number of runs before the first kept one.
        iterations: number of clean runs that are enough.
        duration_s: largest number of wall seconds.
    """

    warmup: int = 3
    iterations: Count = 200
    duration_s: Seconds = 3.0

    def __post_init__(self) -> None:
        check_fields(self)

    def enough(self, clean_runs: int, runs: int, spent_s: float) -> bool:
        """Whether this many clean runs are enough, or the time is up with at least two runs of any kind."""
        return clean_runs >= self.iterations or (spent_s >= self.duration_s and runs >= 2)


@dataclass(frozen=True)
class Timeouts:
    """Wall seconds after which a child process counts as hung: several times the time of the slowest model.

    Attributes:
        prepare_s: running the model in eager PyTorch, at all batches.
        convert_s: converting it for one runtime.
        load_s: loading it, with its first run.
    """

    prepare_s: Seconds = 900.0
    convert_s: Seconds = 600.0
    load_s: Seconds = 300.0

    def __post_init__(self) -> None:
        check_fields(self)
