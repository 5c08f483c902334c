"""Models that really run in processes of their own, between the pools of a sweep."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.accuracy.cases import Case
from benchmarks.predictor.reference_process import Halves, ReferenceProcess
from opclock.models.loading import load_model
from opclock.profiles.profile import Profile
from opclock.sweeps.presets import USUAL_MINUTES, board
from opclock.sweeps.run import run_sweep
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.timing.reference import Reference
from opclock.timing.runs import RunSamples
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

BLOCKS = 2  # of models between two pools of the sweep
PASSES = 3  # every model runs in so many fresh processes, beside other models each time
SHARING = 5  # models that share a process
MIN_BLOCKS = 2  # of each model in a process, whatever was left to sweep


class Subject:
    """A model that is traced here, and really run in other processes."""

    def __init__(self, case: Case) -> None:
        self.case = case
        model = load_model(case.model, input_text=case.input_text)
        self.traced: Trace = trace(model.module, model.inputs, name=case.name)
        self._by_process: list[Halves] = []

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


class ReferenceSession:
    """Processes one after the other, each with some of the models, spread over the sweep."""

    def __init__(self, subjects: Sequence[Subject], threads: int) -> None:
        self._subjects = {subject.case.name: subject for subject in subjects}
        self._threads = threads
        self._waiting: list[list[Case]] = []
        for number in range(PASSES):
            order = random.Random(number).sample([subject.case for subject in subjects], len(subjects))
            self._waiting += [order[i : i + SHARING] for i in range(0, len(order), SHARING)]
        self._count = len(self._waiting)
        self._process: ReferenceProcess | None = None
        self._blocks = 0
        self.seconds = 0.0

    def between(self, _text: str, share: float) -> None:
        """Between two pools of the sweep, this share of which is done."""
        start = time.perf_counter()
        if self._process is None or self._count - len(self._waiting) <= share * self._count:
            self._next()
        self._run(BLOCKS)
        self.seconds += time.perf_counter() - start

    def finish(self) -> None:
        """Run what is left to run."""
        while self._waiting:
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
            for name, halves in self._process.end().items():
                self._subjects[name].add(halves)
            self._process = None


def sweep_and_run(subjects: Sequence[Subject], profile: Profile, threads: int, minutes: float = USUAL_MINUTES) -> float:
    """The sweep, with blocks of the models between its pools. Returns the minutes of the sweep alone."""
    references = ReferenceSession(subjects, threads)
    measure_ceilings(profile, threads)
    start = time.perf_counter()
    planned, _ = board(minutes / USUAL_MINUTES)
    plan_s = time.perf_counter() - start
    done = run_sweep(planned, profile, threads=threads, as_in_models=True, progress=references.between)
    sweep_s = done.seconds - references.seconds
    print(f"{done.timed} kernels timed, {done.known} known; planning {plan_s:.1f} s, sweep {sweep_s:.0f} s, "
          f"{done.kernel_s / sweep_s:.1%} of it in kernels, {done.kernel_s / (plan_s + sweep_s):.1%} of both; "
          f"models {references.seconds:.0f} s", flush=True)  # fmt: skip
    references.finish()
    return (plan_s + sweep_s) / 60
