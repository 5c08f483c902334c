"""One runtime at one batch: loaded, checked and timed in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.benchmarking.result import BenchRow
from opclock.benchmarking.worker.process import RuntimeFailedError, WorkerProcess, check_memory
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import OperatorTime, Runtime, Settings
from opclock.timing.flags import drift_flags

BLOCK_S = 0.25  # of one candidate's runs in a row: long against the cold start of the first one
MIN_BLOCKS = 4  # two a half, so that a drift shows
MAX_SLOWDOWN = 10.0  # a block may take this many times what its runs took before, for a busy machine, and
GRACE_S = 30.0  # so long on top of it, before its runtime counts as hung


@dataclass
class Candidate:
    """A runtime that has failed keeps its reason in its row and takes no further part."""

    runtime: Runtime
    job: Job
    settings: Settings
    timeouts: Timeouts
    row: BenchRow
    worker: WorkerProcess | None = None
    samples: list[float] = field(default_factory=list)  # seconds of each kept run
    spent_s: float = 0.0
    runs_per_block: int = 1

    @staticmethod
    def of(runtime: Runtime, job: Job, settings: Settings, timeouts: Timeouts) -> Candidate:
        """A candidate that is neither converted nor loaded yet, of a job that need not name the runtime."""
        own_job = replace(job, runtime=runtime.name, shared=runtime.batches != "fixed")
        return Candidate(runtime, own_job, settings, timeouts, BenchRow(runtime.name, job.batch))

    @property
    def alive(self) -> bool:
        """Whether nothing has gone wrong so far."""
        return self.row.status == "ok"

    def attempt(self, step: Callable[..., None], *arguments: object) -> None:
        """Run a step of this candidate if it is alive; a RuntimeFailedError ends this candidate alone."""
        if self.alive:
            try:
                step(*arguments)
            except RuntimeFailedError as fault:
                self.fail(str(fault))

    def fail(self, reason: str) -> None:
        """Keep the reason, end the process, and drop the samples."""
        self.row = replace(self.row, status="failed", reason=reason)
        self.samples.clear()
        self.close()

    def close(self) -> None:
        """End its process, if it has one."""
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
        """Run the model without keeping the times, and fix how many runs make a block. Raises RuntimeFailedError."""
        runs = max(1, sampling.warmup)
        latency_s = min(self._run(runs, self.row.first_run_s))
        max_runs = max(1, sampling.iterations // MIN_BLOCKS)
        self.runs_per_block = max(1, min(max_runs, int(BLOCK_S / max(latency_s, 1e-9))))

    def block(self) -> None:
        """Sample one block. Raises RuntimeFailedError."""
        start = time.perf_counter()
        self.samples += self._run(self.runs_per_block, max(self.samples or [self.row.first_run_s]))
        self.spent_s += time.perf_counter() - start

    def finish(self, flags: tuple[str, ...]) -> None:
        """Put samples, peak memory and flags into the row: the given ones, and whether it drifts.

        Raises RuntimeFailedError.
        """
        peak_bytes = self._ask("memory", GRACE_S)["peak_bytes"]
        self.row = replace(self.row, samples=np.array(self.samples), peak_bytes=peak_bytes,
                           flags=(*flags, *drift_flags(self.samples)))  # fmt: skip

    def read_operators(self) -> None:
        """Put the runtime's own operator times into the row, where it reports them.

        They come from the process that was timed, or else from one that is loaded as profiled. Failing at that leaves
        the samples as they are.
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

    def _run(self, runs: int, slowest_s: float) -> list[float]:
        """Seconds of so many runs after one that is not kept, none of which should take longer than the slowest."""
        timeout_s = GRACE_S + MAX_SLOWDOWN * (1 + runs) * slowest_s
        samples: list[float] = self._ask("block", timeout_s, runs=runs)["samples"]
        return samples

    def _ask(self, request: str, timeout_s: float, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        assert self.worker is not None, "load comes first"
        return self.worker.ask(request, timeout_s, **details)
