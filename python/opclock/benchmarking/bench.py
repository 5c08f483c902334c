"""One model through several runtimes, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from opclock.benchmarking.candidate import Candidate
from opclock.benchmarking.conversion import prepare_model, work_folder
from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.benchmarking.result import PERCENTILES, BenchRow
from opclock.benchmarking.session import run_session
from opclock.board.cores import check_threads
from opclock.board.identity import read_board
from opclock.board.system import allowed_cores
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find_all
from opclock.runtimes.runtime import Settings

SCHEMA = "opclock.bench/1"


@dataclass(frozen=True)
class Bench:
    """Several runtimes on one model at one batch. The first row is eager PyTorch's."""

    model: str
    settings: Settings
    board: dict[str, Any]
    rows: tuple[BenchRow, ...]

    def speedup(self, row: BenchRow) -> float:
        """How many times faster than eager PyTorch; NaN where either has no number."""
        return self.rows[0].median_s / row.median_s

    def to_frame(self, percentiles: Sequence[float] = PERCENTILES) -> pd.DataFrame:
        """One row a runtime; seconds and bytes."""
        return pd.DataFrame([
            {
                "runtime": row.runtime, "batch": row.batch, "status": row.status, **row.statistics(percentiles),
                "speedup": self.speedup(row), "convert_s": row.convert_s, "load_s": row.load_s,
                "first_run_s": row.first_run_s, "peak_bytes": row.peak_bytes, "runs": len(row.samples),
                "flags": " ".join(row.flags), "reason": row.reason,
            }
            for row in self.rows
        ])  # fmt: skip

    def to_json(self, percentiles: Sequence[float] = PERCENTILES) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.bench/1"."""
        return {"schema": SCHEMA, "model": self.model, "settings": vars(self.settings), "board": self.board,
                "rows": [row.to_json(percentiles) for row in self.rows]}  # fmt: skip


def bench(
    model: str,
    *,
    runtimes: Sequence[str],
    batch: int = 1,
    input_text: str | None = None,
    weights: Path | None = None,
    settings: Settings | None = None,
    sampling: SamplingOptions = SamplingOptions(),
    timeouts: Timeouts = Timeouts(),
    folder: Path | None = None,
    progress: Progress = silent,
) -> Bench:
    """Time a model through runtimes, block by block in turn; each is checked against eager PyTorch's answer first.

    Args:
        model: as ``load_model`` takes it. Each runtime runs in a process of its own, so a name is needed, not a module.
        runtimes: their names; eager is always among them.
        batch: how many items one inference takes at once.
        input_text: shapes of random inputs, instead of the model's own.
        weights: a state dict to load.
        settings: threads and precision, the same for all; every core and float32 if None.
        sampling: how long to sample.
        timeouts: after which a runtime counts as hung.
        folder: where converted models are kept for the next time; a temporary one if None.
        progress: called with what is done and the fraction that is finished.

    Returns:
        One row a runtime, eager PyTorch's first. A runtime that is missing or fails has a row that says so.

    Raises:
        ModelError: no such model, or eager PyTorch cannot run it.
        OptionError: no such runtime, or more threads than cores.
    """
    settings = settings or Settings(len(allowed_cores()))
    check_threads(settings.threads)
    chosen = find_all(runtimes)
    with work_folder(folder, model) as place:
        job = Job(place, model, input_text, str(weights) if weights else None, batch)
        progress(f"{model}: eager PyTorch's answers", 0.0)
        prepare_model(job, [batch], settings, timeouts)
        candidates = [Candidate.of(runtime, job, settings, timeouts) for runtime in chosen]
        run_session(candidates, sampling, progress=progress)
    return Bench(model, settings, read_board().to_json(), tuple(candidate.row for candidate in candidates))
