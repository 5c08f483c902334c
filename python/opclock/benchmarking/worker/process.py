"""The parent's side of a worker: a child that converts, runs or times one model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from opclock.children.process import ChildProcess
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import Settings

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerProcess(ChildProcess):
    """A child that converts, runs or times one model."""

    doing: ClassVar[Mapping[str, str]] = {
        "prepare": "preparing the model", "learn_batch": "looking for the dimension that is the batch",
        "convert": "converting the model", "load": "loading the model", "block": "timing the model",
        "operators": "reading the operators' times", "postprocess": "timing the post-processing",
        "memory": "reading its peak memory", "kernels": "loading and tracing the model",
        "kernel_block": "timing the op calls", "estimate": "composing the estimate",
    }  # fmt: skip

    def __init__(self, job: Job, settings: Settings) -> None:
        self.job = job
        self._settings = settings
        job.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "opclock.benchmarking.worker.server"]
        super().__init__(command, log_of(job), dict.fromkeys(THREAD_VARIABLES, str(settings.threads)))

    def ask(self, name: str, timeout_s: float, /, **details: Any) -> dict[str, Any]:  # noqa: ANN401
        """Send a request about the job, and wait for its answer. Args and errors: see ``ChildProcess.ask``."""
        return super().ask(name, timeout_s, job=self.job.to_json(), settings=asdict(self._settings), **details)


def log_of(job: Job) -> Path:
    """The file with the output of a job's processes."""
    return job.folder / f"{job.runtime or 'prepare'}-{job.batch}.log"
