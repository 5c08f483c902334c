"""Prepares a model's files once, and converts them once for each runtime."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from opclock.benchmarking.candidate import Candidate
from opclock.benchmarking.options import Timeouts
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.children.process import RuntimeFailedError, run_at_once
from opclock.errors import ModelError, described
from opclock.files import prepare_folder, write_json
from opclock.progress import Progress, silent
from opclock.runtimes.identity import converters
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import Settings
from opclock.temporary import temporary_folder

CONVERTED = "converted.json"  # written beside the artefacts when they are complete


@contextmanager
def work_folder(folder: str | Path | None, model: str) -> Iterator[Path]:
    """A subfolder for the model in the given folder, or a temporary folder that is removed afterwards.

    Raises OptionError where the folder cannot be written.
    """
    if folder is not None:
        place = Path(folder) / re.sub(r"[^\w.-]+", "-", model)
        prepare_folder(place)
        yield place
        return
    with temporary_folder() as temporary:
        yield temporary


def prepare_model(job: Job, batches: Sequence[int], settings: Settings, timeouts: Timeouts) -> str:
    """Write the files that all runtimes share: weights, inputs, and eager PyTorch's answers at each batch.

    Returns what the user should know about the batch, or "".

    Raises ModelError where eager PyTorch cannot build or run the model, and OptionError for options that do not fit.
    """
    try:
        with WorkerProcess(job, settings) as worker:
            note: str = worker.ask("prepare", timeouts.prepare_s, batches=list(batches))["note"]
    except RuntimeFailedError as fault:
        if fault.refusal is not None:
            raise fault.refusal from None
        raise ModelError(f"{job.model} does not run in eager PyTorch: {fault}") from fault
    return note


def convert_all(candidates: Sequence[Candidate], *, at_once: int = 1, progress: Progress = silent) -> None:
    """Convert the candidates that are not converted yet.

    Args:
        candidates: of one model. Failures, versions and the seconds of conversion go into their rows.
        at_once: how many are converted at the same time.
        progress: receives a text and the fraction that is done.
    """
    converted = 0

    def convert(candidate: Candidate) -> None:
        nonlocal converted
        progress(f"{candidate.job.model}: converting for {candidate.runtime.name}", converted / len(candidates))
        if _usable(candidate):
            candidate.attempt(_convert, candidate)
        converted += 1

    # Artefacts for several batches are converted once, at the first of them.
    first: dict[Path, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.job.artefacts, candidate)
    run_at_once(convert, first.values(), at_once)
    for candidate in candidates:
        candidate.row = replace(first[candidate.job.artefacts].row, batch=candidate.job.batch)


def _usable(candidate: Candidate) -> bool:
    """Whether the runtime is installed and has the precision. Its versions, or the reason, go into the row."""
    runtime, precision = candidate.runtime, candidate.settings.precision
    try:
        missing = runtime.missing()
        versions = {} if missing else runtime.versions()
    except Exception as error:  # other packages may raise anything
        candidate.fail(f"checking whether it is installed failed: {described(error)}")
        return False
    if missing:
        candidate.row = replace(candidate.row, status="missing", reason=" ".join(missing.split()))
        return False
    candidate.row = replace(candidate.row, versions=versions)
    if precision not in runtime.precisions:
        candidate.fail(f"offers no {precision}: {', '.join(runtime.precisions)}")
    return candidate.alive


def _convert(candidate: Candidate) -> None:
    """Convert unless an earlier run has converted the same model with the same versions. Raises RuntimeFailedError."""
    job, settings = candidate.job, candidate.settings
    note = job.artefacts / CONVERTED
    wanted = {"versions": {**converters(), **candidate.row.versions}, "precision": settings.precision,
              "digest": job.digest()}  # fmt: skip
    known = _earlier(note)
    if {name: known.get(name) for name in wanted} != wanted:
        shutil.rmtree(job.artefacts, ignore_errors=True)
        with WorkerProcess(job, settings) as worker:
            known = {**wanted, **worker.ask("convert", candidate.timeouts.convert_s)}
        job.artefacts.mkdir(parents=True, exist_ok=True)
        write_json(note, known)
    candidate.row = replace(candidate.row, convert_s=known["seconds"])


def _earlier(note: Path) -> dict[str, Any]:
    """What an earlier run noted about its artefacts; empty where there are none, or the note is damaged."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and "seconds" in known else {}
