"""The parent's side of a worker: a child that converts, runs or times one model."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opclock.children.process import ChildProcess
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import Settings

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerProcess(ChildProcess):
    """A child that converts, runs or times one model."""

    def __init__(self, job: Job, settings: Settings) -> None:
        self.job = job
        self._settings = settings
        job.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "opclock.benchmarking.worker.server"]
        super().__init__(command, log_of(job), dict.fromkeys(THREAD_VARIABLES, str(settings.threads)))

    def ask(self, name: str, timeout_s: float, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a request about the job, and wait for its answer. Args and errors: see ``ChildProcess.ask``."""
        return super().ask(name, timeout_s, job=self.job.to_json(), settings=asdict(self._settings), **details)


def log_of(job: Job) -> Path:
    """The file with the output of a job's processes."""
    return job.folder / f"{job.runtime or 'prepare'}-{job.batch}.log"
