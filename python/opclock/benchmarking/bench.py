"""Compares several runtimes on one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from opclock.argument_checks import Count, Dimension, ModelName, checked
from opclock.benchmarking.candidate import Candidate
from opclock.benchmarking.conversion import prepare_model, work_folder
from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.benchmarking.result import PERCENTILES, BenchRow
from opclock.benchmarking.session import run_session
from opclock.board.cores import check_threads, default_threads
from opclock.board.identity import read_board
from opclock.notebook import ShownInNotebooks
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find_all
from opclock.runtimes.runtime import Settings

SCHEMA = "opclock.bench/1"


@dataclass(frozen=True)
class Bench(ShownInNotebooks):
    """The results of several runtimes on one model at one batch. The first row is eager PyTorch."""

    model: str
    settings: Settings
    board: dict[str, Any]
    rows: tuple[BenchRow, ...]
    note: str = ""  # about the batch

    def speedup(self, row: BenchRow) -> float:
        """The speedup of a row over eager PyTorch; NaN where one of them has none, as with a wrong answer."""
        return self.rows[0].median_s / row.median_s if row.median_s else float("nan")

    def to_frame(self, percentiles: Sequence[float] = PERCENTILES) -> pd.DataFrame:
        """A table with one row a runtime, in seconds and bytes."""
        return pd.DataFrame([
            {
                "runtime": row.runtime, "batch": row.batch, "status": row.status, **row.statistics(percentiles),
                "speedup": self.speedup(row), "convert_s": row.convert_s, "load_s": row.load_s,
                "first_run_s": row.first_run_s, "peak_bytes": row.peak_bytes, "runs": len(row.samples),
                "disturbed": int(row.disturbed.sum()),
                "flags": " ".join(row.flags), "reason": row.reason,
            }
            for row in self.rows
        ])  # fmt: skip

    def to_json(self, percentiles: Sequence[float] = PERCENTILES) -> dict[str, Any]:
        """JSON-ready data of schema "opclock.bench/1"."""
        return {"schema": SCHEMA, "model": self.model, "settings": vars(self.settings), "board": self.board,
                "note": self.note, "rows": [row.to_json(percentiles) for row in self.rows]}  # fmt: skip


@checked
def bench(
    model: ModelName,
    *,
    runtimes: str | Sequence[str],
    batch: Count = 1,
    batch_dim: Dimension | None = None,
    input_text: str | None = None,
    weights: str | Path | None = None,
    settings: Settings | None = None,
    sampling: SamplingOptions = SamplingOptions(),
    operators: bool = False,
    timeouts: Timeouts = Timeouts(),
    folder: str | Path | None = None,
    progress: Progress = silent,
) -> Bench:
    """Time a model in several runtimes, block by block in turn.

    First, the answer of each runtime is compared with eager PyTorch's.

    Args:
        model: a name, see ``load_model``. A module does not do, because each runtime has its own process.
        runtimes: one name or several; eager is always included.
        batch: number of items in one inference.
        batch_dim: the dimension of the inputs that is the batch, counted from 0. None: it is found by running the model
            with two and with three different items.
        input_text: shapes of random inputs, instead of the model's own.
        weights: a file with a state dict to load.
        settings: threads and precision of all runtimes; all cores and float32 if None.
        sampling: how long to sample.
        operators: whether to ask runtimes for the times of their operators, in a run of its own after the timing.
        timeouts: after how long a runtime counts as hung.
        folder: stores converted models for later calls; a temporary one if None.
        progress: receives a text and the fraction that is done.

    Returns:
        One row a runtime, eager PyTorch first. A runtime that is missing or fails has a row with the reason.

    Raises:
        ModelError: there is no such model, or eager PyTorch cannot run it.
        OptionError: there is no such runtime, more threads than cores, or no input with this dimension.
    """
    settings = settings or Settings(default_threads())
    check_threads(settings.threads)
    chosen = find_all([runtimes] if isinstance(runtimes, str) else runtimes)
    with work_folder(folder, model) as place:
        job = Job(place, model, input_text, str(weights) if weights else None, batch, batch_dim)
        progress(f"{model}: eager PyTorch's answers", 0.0)
        note = prepare_model(job, [batch], settings, timeouts)
        candidates = [Candidate.of(runtime, job, settings, timeouts) for runtime in chosen]
        run_session(candidates, sampling, operators=operators, progress=progress)
    return Bench(model, settings, read_board().to_json(), tuple(candidate.row for candidate in candidates), note)
