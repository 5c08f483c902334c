"""opclock study landscape --on: one job for each model and board, so that every finished one stays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opclock.cli.farm import connected
from opclock.cli.on import Watch, pick, say_busy, show
from opclock.cli.outputs import words_of
from opclock.cli.reporting import Reporter, progress_display
from opclock.cli.shipping import Shipment, shipment
from opclock.errors import FarmError
from opclock.formatting import counted, duration
from opclock.studies.landscape_results import FILE, Landscape
from opclock.temporary import temporary_folder

if TYPE_CHECKING:
    from opclock.farm.board import FarmBoard
    from opclock.farm.job import Job, Outcome

OUT = "out/landscape"  # in a job's folder


def landscapes_on(
    on: str, report: Path, models: Sequence[str], runtimes: Sequence[str], *, wait: bool, limit_s: float
) -> list[Landscape]:
    """Measure the landscapes of boards. What an earlier call has finished stays.

    Args:
        on: which boards.
        report: holds a folder with a landscape.json for each board.
        models: as the command takes them.
        runtimes: names.
        wait: whether a board that is not fit waits until it is.
        limit_s: seconds after which a model counts as hung.

    Returns:
        The landscape of each board that has a model.

    Raises:
        FarmError: no board can take part, or none has a model.
    """
    reporter, start = Reporter(), time.monotonic()
    with connected() as farm:
        boards, refused = pick(farm, on)
        for result in refused:
            show(result, reporter)
        kept = {board.name: _Kept(board, report / board.name / FILE) for board in boards}
        jobs = [job for one in kept.values() for job in one.jobs(models, runtimes, wait=wait, limit_s=limit_s)]
        done = len(boards) * len(models) - len(jobs)
        if done:
            reporter.say(f"{counted(done, 'model')} measured before")
        say_busy(boards, jobs)
        with progress_display("waiting for the boards", steps=False) as display:
            watch = Watch(display, len(jobs), lambda job: job.where.partition(":")[2])
            with closing(farm.run(jobs, watch.said, watch.news)) as answers:
                for number, (job, outcome) in enumerate(answers, 1):
                    watch.finished(job)
                    left_s = (time.monotonic() - start) / number * (len(jobs) - number)
                    said = kept[job.where.partition(":")[2]].take(job, outcome, left_s)
                    with display.away():
                        reporter.say(said)
    found = [one.landscape.in_order(models) for one in kept.values() if one.landscape is not None]
    if not found:
        raise FarmError(f"--on {on}: no board has measured a model")
    return found


class _Kept:
    """One board's landscape on this machine."""

    def __init__(self, board: FarmBoard, path: Path) -> None:
        self._board, self._path = board, path
        self._models: dict[str, tuple[str, Shipment]] = {}  # by a job's digest, as the user names it, and what travels
        self.landscape = Landscape.load(path) if path.is_file() else None
        identity = board.board["identity"]
        if self.landscape is not None and self.landscape.board["identity"] != identity:
            mine = self.landscape.board["identity"]
            raise FarmError(f"{path} is of {mine}, the board {board.name} is {identity}: give another --report")

    def jobs(self, models: Sequence[str], runtimes: Sequence[str], *, wait: bool, limit_s: float) -> list[Job]:
        """A job for each model that is missing."""
        from opclock.farm.job import Job

        context = click.get_current_context()
        versions = tuple((name, self._board.versions[name]) for name in ("opclock", "torch"))
        jobs = []
        for model in models:
            known = self.landscape.entry(model) if self.landscape is not None else None
            if known is not None and set(runtimes) <= {row.runtime for row in known.rows}:
                continue
            shipped = shipment(
                context, words_of(context), profile=None, without=("models", "report", "label", "strict")
            )
            words = (*shipped.words, "--models", shipped.take(model), "--report", OUT, "--data-only")
            jobs.append(Job(words, f"name:{self._board.name}", versions, shipped.archive, outputs=(f"{OUT}/{FILE}",),
                            wait=wait, limit_s=limit_s))  # fmt: skip
            self._models[jobs[-1].digest] = model, shipped
        return jobs

    def take(self, job: Job, outcome: Outcome, left_s: float) -> str:
        """Store one model's entry. Returns a sentence about it."""
        from opclock.farm.result import take_files

        model, shipped = self._models[job.digest]
        about = f"{self._board.name}: {model}"
        if outcome.status != "done":
            return f"{about}: {outcome.status}: {shipped.as_given(outcome.reason, self._board.name)}"
        with temporary_folder() as folder:
            take_files(outcome, f"{OUT}/{FILE}", folder / FILE)
            came = Landscape.load(folder / FILE)
        mine = self.landscape or replace(came, label=self._board.name, entries=(), seconds=0.0)
        if mine.settings != came.settings:
            return f"{about}: not kept: {self._path} has other settings; give another --report"
        for entry in came.entries:
            mine = mine.with_entry(replace(entry, model=model), came.seconds)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        mine.save(self._path)
        self.landscape = mine
        return f"{about}: done in {duration(outcome.seconds)}" + (f", {duration(left_s)} left" if left_s else "")
