"""The child processes that estimate candidates: a model that crashes or hangs takes only its own process along."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from opclock.children.process import ChildProcess, RuntimeFailedError, run_at_once
from opclock.errors import ModelError
from opclock.ranking.candidates import Specification
from opclock.ranking.rows import Row
from opclock.temporary import temporary_folder

START_S = 300.0  # importing torch from a slow SD card takes a minute
CANDIDATE_S = 600.0  # a model that takes longer to build and trace hangs


class RankingProcess(ChildProcess):
    """A child process that estimates one candidate after the other."""

    doing: ClassVar[Mapping[str, str]] = {"open": "starting", "estimate": "building, tracing and estimating the model"}

    def __init__(self, specification: Specification, profile: Path, threads: int | None, log: Path) -> None:
        """Start it. Raises RuntimeFailedError where it does not start."""
        # One thread each: as many of them run as there are cores.
        super().__init__([sys.executable, "-P", "-m", "opclock.ranking.worker"], log, {"OMP_NUM_THREADS": "1"})
        try:
            self.ask("open", START_S, candidates=asdict(specification), profile=str(profile), threads=threads)
        except BaseException:
            self.close()
            raise

    @property
    def output(self) -> str:
        """The last line of its output, whose file is temporary."""
        return self.last_words

    def row(self, number: int) -> Row:
        """Estimate one candidate. Raises RuntimeFailedError where the process does not survive it."""
        return Row.from_json(self.ask("estimate", CANDIDATE_S, number=number)["row"])


def estimate_in_processes(
    specification: Specification, profile: Path, threads: int | None, jobs: int, candidates: Sequence[tuple[int, str]],
    finished: Callable[[int, Row], None],
) -> None:  # fmt: skip
    """Estimate candidates in so many processes, each of which a new one replaces where it ends.

    Args:
        specification: what the user named.
        profile: the file.
        threads: PyTorch's threads; None: as measured.
        jobs: how many processes.
        candidates: numbers and names.
        finished: receives each candidate's number and row, from several threads.

    Raises:
        ModelError: a process does not start.
    """
    free: queue.SimpleQueue[RankingProcess | None] = queue.SimpleQueue()
    for _ in range(jobs):
        free.put(None)

    def step(candidate: tuple[int, str]) -> None:
        number, name = candidate
        process = free.get()
        try:
            if process is None:
                process = _started(specification, profile, threads, folder / f"{number}.txt")
            try:
                row = process.row(number)
            except RuntimeFailedError as error:
                process.close()
                process = None
                row = Row(name, error=str(error))
        finally:
            free.put(process)
        finished(number, row)

    with temporary_folder() as folder:
        try:
            run_at_once(step, candidates, jobs)
        finally:
            for _ in range(jobs):
                if (process := free.get()) is not None:
                    process.close()


def _started(specification: Specification, profile: Path, threads: int | None, log: Path) -> RankingProcess:
    try:
        return RankingProcess(specification, profile, threads, log)
    except RuntimeFailedError as error:
        raise error.refusal or ModelError(f"a process that estimates candidates does not start: {error}") from error
