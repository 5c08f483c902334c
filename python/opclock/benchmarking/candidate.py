"""One runtime at one batch: loads, checks and times it in its own process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.benchmarking.result import BenchRow
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.children.process import RuntimeFailedError, check_memory
from opclock.flags import Flag, ordered, precision_flags
from opclock.profiles.disturbance import Readings, disturbed, kept
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import OperatorTime, Runtime, Settings
from opclock.timing.flags import drift_flags

BLOCK_S = 0.25  # of runs in a row: long compared with the cold start of the first one
MIN_BLOCKS = 4  # two a half, so that a drift shows
# On a busy machine, a block may take this many times the usual time, plus the grace, before its runtime counts as hung.
MAX_SLOWDOWN = 10.0
GRACE_S = 30.0


@dataclass
class Candidate:
    """One runtime at one batch. After a failure its row holds the reason, and it takes no further part."""

    runtime: Runtime
    job: Job
    settings: Settings
    timeouts: Timeouts
    row: BenchRow
    worker: WorkerProcess | None = None
    samples: list[float] = field(default_factory=list)  # seconds of each run
    blocks: list[int] = field(default_factory=list)  # by run: the number of its block
    readings: list[Readings] = field(default_factory=list)  # by block
    spent_s: float = 0.0
    runs_per_block: int = 1

    @staticmethod
    def of(runtime: Runtime, job: Job, settings: Settings, timeouts: Timeouts) -> Candidate:
        """A candidate that is not converted and loaded yet. The job need not name the runtime."""
        own_job = replace(job, runtime=runtime.name, shared=runtime.batches != "fixed")
        return Candidate(runtime, own_job, settings, timeouts, BenchRow(runtime.name, job.batch))

    @property
    def alive(self) -> bool:
        """Whether it has not failed so far."""
        return self.row.status == "ok"

    def attempt(self, step: Callable[..., None], *arguments: object) -> None:
        """Run a step of this candidate if it has not failed. A RuntimeFailedError ends only this candidate."""
        if self.alive:
            try:
                step(*arguments)
            except RuntimeFailedError as fault:
                self.fail(str(fault))

    def fail(self, reason: str) -> None:
        """Store the reason on one line, end the process, and drop the samples."""
        self.row = replace(self.row, status="failed", reason=" ".join(reason.split()))
        self.clear()
        self.close()

    def clear(self) -> None:
        """Drop the samples."""
        for kept_so_far in (self.samples, self.blocks, self.readings):
            kept_so_far.clear()

    def close(self) -> None:
        """End the process, if there is one."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def load(self) -> None:
        """Start the process, run the model once and compare the answer with eager PyTorch's.

        Raises:
            RuntimeFailedError: too little memory, a wrong answer, or a runtime that fails.
        """
        check_memory()
        self.worker = WorkerProcess(self.job, self.settings)
        answer = self._ask("load", self.timeouts.load_s, profiled=False)
        if answer["wrong"]:
            raise RuntimeFailedError(f"wrong answer: {answer['wrong']}")
        self.row = replace(self.row, load_s=answer["load_s"], first_run_s=answer["first_run_s"])

    def warm_up(self, sampling: SamplingOptions) -> None:
        """Run the model untimed, and fix the number of runs in a block. Raises RuntimeFailedError."""
        runs = max(1, sampling.warmup)
        latency_s = min(self._run(runs, self.row.first_run_s)[0])
        max_runs = max(1, sampling.iterations // MIN_BLOCKS)
        self.runs_per_block = max(1, min(max_runs, int(BLOCK_S / max(latency_s, 1e-9))))

    def block(self) -> None:
        """Sample one block. Raises RuntimeFailedError."""
        start = time.perf_counter()
        samples, readings = self._run(self.runs_per_block, max(self.samples or [self.row.first_run_s]))
        self.blocks += [len(self.readings)] * len(samples)
        self.samples += samples
        self.readings.append(readings)
        self.spent_s += time.perf_counter() - start

    def finish(self, flags: tuple[Flag, ...]) -> None:
        """Put samples, peak memory and flags (the given ones, and those of its samples) into the row.

        Raises RuntimeFailedError.
        """
        peak_bytes = self._ask("memory", GRACE_S)["peak_bytes"]
        readings = Readings.joined(self.readings)
        row = replace(self.row, samples=np.array(self.samples), blocks=np.array(self.blocks),
                      disturbed=disturbed(readings), kept=kept(readings), peak_bytes=peak_bytes)  # fmt: skip
        imprecise = precision_flags(row.median_s, *row.interval_s)
        drifting = drift_flags(row.kept_samples.tolist())
        self.row = replace(row, flags=ordered([*flags, *row.contention_flags, *drifting, *imprecise]))

    def read_operators(self) -> None:
        """Put the operator times that the runtime reports into the row.

        They come from the timed process, or else from a new one that is loaded as profiled. A failure does not change
        the samples.
        """
        if not (self.alive and self.runtime.reports_operator_times):
            return
        try:
            operators = self._ask("operators", self.timeouts.load_s)["operators"]
            if not operators:
                with WorkerProcess(self.job, self.settings) as worker:
                    worker.ask("load", self.timeouts.load_s, profiled=True)
                    operators = worker.ask("operators", self.timeouts.load_s)["operators"]
        except RuntimeFailedError:
            return
        self.row = replace(self.row, operators=tuple(OperatorTime(**operator) for operator in operators))

    @property
    def clean_runs(self) -> int:
        """How many runs no other program disturbed, by what the kernel counts."""
        return sum(int(np.count_nonzero(~disturbed(readings))) for readings in self.readings)

    def _run(self, runs: int, slowest_s: float) -> tuple[list[float], Readings]:
        """Seconds of each of ``runs`` runs, after one that is not kept. A run should take at most ``slowest_s``."""
        timeout_s = GRACE_S + MAX_SLOWDOWN * (1 + runs) * slowest_s
        answer = self._ask("block", timeout_s, runs=runs)
        return answer["samples"], Readings(**{name: np.array(values) for name, values in answer["readings"].items()})

    def _ask(self, request: str, timeout_s: float, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        assert self.worker is not None, "load comes first"
        return self.worker.ask(request, timeout_s, **details)
