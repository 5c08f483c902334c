"""The child processes that estimate candidates: a model that crashes or hangs takes only its own process along."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import ClassVar

from opclock.children.pool import ChildPool
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


Candidate = tuple[int, str]  # number and name
Finished = Callable[[int, Row], None]


@contextmanager
def estimating(
    specification: Specification, profile: Path, threads: int | None, count: int
) -> Iterator[Callable[[Candidate], Row]]:
    """So many processes that estimate candidates.

    Args:
        specification: what the user named.
        profile: the file.
        threads: PyTorch's threads; None: as measured.
        count: how many processes.

    Yields:
        A function that takes a candidate and waits for its row; so many threads may call it at the same time. It raises
        ModelError where a process does not start.
    """
    with temporary_folder() as folder:
        numbers = itertools.count()
        start = partial(_started, specification, profile, threads)
        with closing(ChildPool(lambda: start(folder / f"{next(numbers)}.txt"), count)) as pool:

            def row(candidate: Candidate) -> Row:
                number, name = candidate
                try:
                    with pool.child() as process:
                        return process.row(number)
                except RuntimeFailedError as error:
                    return Row(name, error=str(error))

            yield row


def estimate_in_processes(
    specification: Specification, profile: Path, threads: int | None, jobs: int, candidates: Sequence[Candidate],
    finished: Finished,
) -> None:  # fmt: skip
    """Estimate candidates in so many processes of this machine.

    Args:
        specification: what the user named.
        profile: the file.
        threads: PyTorch's threads; None: as measured.
        jobs: how many processes.
        candidates: which.
        finished: receives each candidate's number and row, from several threads.

    Raises:
        ModelError: a process does not start.
    """
    with estimating(specification, profile, threads, jobs) as row:
        run_at_once(lambda candidate: finished(candidate[0], row(candidate)), candidates, jobs)


def _started(specification: Specification, profile: Path, threads: int | None, log: Path) -> RankingProcess:
    try:
        return RankingProcess(specification, profile, threads, log)
    except RuntimeFailedError as error:
        raise error.refusal or ModelError(f"a process that estimates candidates does not start: {error}") from error
