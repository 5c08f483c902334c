"""How long to sample, and how long to wait."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingOptions:
    """How long to sample a candidate.

    Attributes:
        warmup: runs before the first that is kept.
        iterations: kept runs at most.
        duration_s: wall seconds at most.
    """

    warmup: int = 3
    iterations: int = 200
    duration_s: float = 3.0

    def enough(self, runs: int, spent_s: float) -> bool:
        """Whether so many kept runs in so many wall seconds are enough; two are the least that show a spread."""
        return runs >= self.iterations or (spent_s >= self.duration_s and runs >= 2)


@dataclass(frozen=True)
class Timeouts:
    """Wall seconds after which a child process counts as hung. Each is several times what the slowest model took.

    Attributes:
        prepare_s: running the model in eager PyTorch, at all batches.
        convert_s: converting it for one runtime.
        load_s: loading it, with its first run.
    """

    prepare_s: float = 900.0
    convert_s: float = 600.0
    load_s: float = 300.0
