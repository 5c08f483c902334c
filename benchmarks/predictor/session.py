"""Models that really run in processes of their own, between the pools of a sweep."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from benchmarks.accuracy.cases import Case
from benchmarks.predictor.kept import Kept, Piece
from benchmarks.predictor.reference_process import Halves, ReferenceProcess
from opclock.models.loading import load_model
from opclock.profiles.profile import Profile
from opclock.sweeps.presets import NETWORKS, USUAL_MINUTES, board
from opclock.sweeps.run import run_sweep
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.timing.reference import Reference, forward_of
from opclock.timing.runs import RunSamples
from opclock.timing.subnormal import subnormal_flags
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

BLOCKS = 2  # of models between two pools of the sweep
PASSES = 3  # see ReferenceSession
SHARING = 5  # models that share a process
MIN_BLOCKS, MAX_BLOCKS = 2, 5  # of each model in a process, however much was left to sweep


class OutOfTimeError(Exception):
    """The piece's time is up; the next piece goes on from what is kept."""


class Subject:
    """A model that is traced here, and really run in other processes."""

    def __init__(self, case: Case, kept: Kept | None = None) -> None:
        self.case = case
        self._kept = kept
        self._by_process: list[Halves] = []

    @cached_property
    def traced(self) -> Trace:
        """Its op calls."""
        return (
            _traced(self.case) if self._kept is None else self._kept.trace(self.case.name, lambda: _traced(self.case))
        )

    @property
    def subnormal(self) -> bool:
        """Whether it computes subnormal numbers with these weights: then no time of its op calls says how long."""
        model = load_model(self.case.model, input_text=self.case.input_text)
        return bool(subnormal_flags(forward_of(model.module, model.inputs), "cpu"))

    def add(self, halves: Halves) -> None:
        """What one process sampled."""
        self._by_process.append(halves)

    @property
    def reference(self) -> Reference:
        """All processes together."""
        first, second = (RunSamples.of(np.concatenate([both[i] for both in self._by_process])) for i in (0, 1))
        return Reference((first, second))

    @property
    def process_spread(self) -> float:
        """How far the processes' medians lie apart, as a fraction of the median: the floor between processes."""
        medians = [float(np.median(np.concatenate(halves))) for halves in self._by_process]
        return (max(medians) - min(medians)) / self.reference.median_s


def _traced(case: Case) -> Trace:
    model = load_model(case.model, input_text=case.input_text)
    return trace(model.module, model.inputs, name=case.name)


class ReferenceSession:
    """Processes one after the other, each with some of the models, spread over the sweep.

    Args:
        subjects: the models.
        threads: PyTorch's threads.
        kept: holds what earlier pieces sampled, and keeps what this one samples.
        piece: says when its time is up.
        passes: every model runs in so many fresh processes, beside other models each time.
    """

    def __init__(
        self, subjects: Sequence[Subject], threads: int, kept: Kept, piece: Piece, passes: int = PASSES
    ) -> None:
        self._subjects = {subject.case.name: subject for subject in subjects}
        self._threads, self._kept, self._piece = threads, kept, piece
        groups: list[list[Case]] = []
        for number in range(passes):
            order = random.Random(number).sample([subject.case for subject in subjects], len(subjects))
            groups += [order[i : i + SHARING] for i in range(0, len(order), SHARING)]
        self._count = len(groups)
        done = kept.references()
        for halves_by_name in done:
            self._add(halves_by_name)
        self._waiting = groups[len(done) :]
        self._process: ReferenceProcess | None = None
        self._blocks = 0
        self._text = ""
        self.seconds = 0.0  # in these processes
        self.latest = time.perf_counter()  # when they last ran

    def between(self, text: str, share: float) -> None:
        """Between two pools of the sweep, this share of which is done. At its end, run what is left to run.

        Raises:
            OutOfTimeError: the piece's time is up, and no pool has begun.
        """
        start = time.perf_counter()
        window_begins, self._text = text != self._text, text
        try:
            if window_begins and self._piece.over:
                raise OutOfTimeError
            if share >= 1.0:
                self._finish()
                return
            if self._process is None or self._count - len(self._waiting) <= share * self._count:
                self._next()
            self._run(min(BLOCKS, MAX_BLOCKS * SHARING - self._blocks))
        except OutOfTimeError:
            self._end()
            raise
        finally:
            self.latest = time.perf_counter()
            self.seconds += self.latest - start

    def _finish(self) -> None:
        while self._waiting:
            if self._piece.over:
                raise OutOfTimeError
            self._next()
        self._end()

    def _run(self, blocks: int) -> None:
        if self._process is not None:
            for _ in range(blocks):
                self._process.block()
            self._blocks += blocks

    def _next(self) -> None:
        self._end()
        if self._waiting:
            self._process, self._blocks = ReferenceProcess(self._waiting.pop(0), self._threads), 0

    def _end(self) -> None:
        if self._process is not None:
            self._run(MIN_BLOCKS * SHARING - self._blocks)
            halves_by_name = self._process.end()
            self._process = None
            self._kept.add_reference(halves_by_name)
            self._add(halves_by_name)

    def _add(self, halves_by_name: dict[str, Halves]) -> None:
        for name, halves in halves_by_name.items():
            self._subjects[name].add(halves)


def sweep_and_run(
    subjects: Sequence[Subject], profile: Profile, threads: int, minutes: float, kept: Kept, piece: Piece,
    passes: int = PASSES,
) -> float:  # fmt: skip
    """The sweep, with blocks of the models between its pools.

    Returns the minutes of the sweep alone, in all pieces. Raises OutOfTimeError where a further piece is needed.
    """
    references = ReferenceSession(subjects, threads, kept, piece, passes)
    measure_ceilings(profile, threads)
    start = time.perf_counter()
    try:
        amount = minutes / USUAL_MINUTES
        planned, _ = board(amount)
        done = run_sweep(planned, profile, threads=threads, as_in_models=True, networks=round(amount * NETWORKS),
                         progress=references.between)  # fmt: skip
    finally:
        kept.add_sweep_s(references.latest - start - references.seconds)  # without learning, which comes after them
    print(f"{done.timed} kernels timed now, {done.known} known; models {references.seconds:.0f} s", flush=True)
    return kept.sweep_s / 60
