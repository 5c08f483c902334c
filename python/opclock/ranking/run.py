"""Ranks candidates: estimates each of them, and keeps the rows while it goes on."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from opclock.errors import EstimateError
from opclock.estimation.setting import most_swept_threads
from opclock.files import json_text
from opclock.formatting import counted, duration
from opclock.prediction.predictor import Predictor
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.ranking.candidates import Candidates, Specification, TraceFolder, candidates_of
from opclock.ranking.processes import Candidate, Finished, estimate_in_processes
from opclock.ranking.rows import Row, append, appending, kept_rows
from opclock.ranking.worker import Estimator
from opclock.version import VERSION

# Threads, candidates, and what receives the rows.
Elsewhere = Callable[[int | None, Sequence[Candidate], Finished], None]


def rank(
    specification: Specification, profile: Profile, *, threads: int | None = None, jobs: int = 1,
    elsewhere: Elsewhere | None = None, keep: Path | None = None, progress: Progress = silent,
) -> list[Row]:  # fmt: skip
    """Estimate all candidates.

    Args:
        specification: what the user named.
        profile: the board's measurements.
        threads: PyTorch's threads; the most with which the profile has a sweep if None.
        jobs: how many processes estimate at the same time. Traces need none of their own for one job.
        elsewhere: estimates on other machines, in place of these processes.
        keep: the file that keeps every estimate; candidates that it has already are not estimated again.
        progress: receives a text and the fraction that is done.

    Returns:
        A row for each candidate, in their order.

    Raises:
        ModelError: there are no candidates, or their code cannot be run at all.
        OptionError: the options do not fit, or the file cannot be written.
        ProfileError: the profile cannot be read.
    """
    threads = most_swept_threads(profile) if threads is None else threads
    if threads is not None:
        _learn(profile, threads, progress)
    with candidates_of(specification) as candidates:
        names, states = candidates.names, _states(candidates, json_text([VERSION, profile.state(), threads]))
        kept = kept_rows(keep)
        rows = {number: kept[name] for number, name in enumerate(names)
                if name in kept and kept[name].state == states[number]}  # fmt: skip
        left = [(number, name) for number, name in enumerate(names) if number not in rows]
        with appending(keep) as file:
            lock, shown = threading.Lock(), _Shown(progress, len(names), len(rows))

            def finished(number: int, row: Row) -> None:
                with lock:
                    rows[number] = replace(row, state=states[number])
                    if not row.error:  # the next run tries those again
                        append(file, rows[number])
                    shown.update(len(rows))

            if elsewhere is not None:
                elsewhere(threads, left, finished)
            elif isinstance(candidates, TraceFolder) and jobs == 1:
                _estimate_here(specification, profile.path, threads, left, finished)
            else:
                estimate_in_processes(specification, profile.path, threads, jobs, left, finished)
    return [rows[number] for number in range(len(names))]


def _learn(profile: Profile, threads: int, progress: Progress) -> None:
    """Learn from the sweep once, for all processes, where the file can keep it."""
    progress("learning from the sweep", 0.0)
    with suppress(EstimateError):  # no sweep: what was measured may do
        Predictor.read(profile, threads)


def _states(candidates: Candidates, common: str) -> list[str]:
    """By candidate: a text that changes with its file, the profile and the setting."""
    texts = (f"{common} {candidates.state(number)}" for number in range(len(candidates.names)))
    return [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]


def _estimate_here(
    specification: Specification, profile: Path, threads: int | None, left: Sequence[Candidate], finished: Finished
) -> None:  # fmt: skip
    with closing(Estimator(specification, profile, threads)) as estimator:
        for number, _ in left:
            finished(number, estimator.row(number))


class _Shown:
    """Reports how many candidates are done, and how long the rest takes."""

    def __init__(self, progress: Progress, total: int, known: int) -> None:
        self._progress, self._total, self._known = progress, total, known
        self._began = time.monotonic()
        self.update(known)

    def update(self, done: int) -> None:
        text = f"ranking: {done:,} of {counted(self._total, 'candidate')}"
        if new := done - self._known:
            text += f", {duration((time.monotonic() - self._began) / new * (self._total - done))} left"
        self._progress(text, done / self._total)
