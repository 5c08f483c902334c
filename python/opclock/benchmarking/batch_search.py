"""Finds the batch curves of a model: measured in a runtime, and estimated from kernel times."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from opclock.benchmarking.batch_scaling import BatchCurve, BatchPoint, doubled
from opclock.benchmarking.candidate import BLOCK_S, Candidate
from opclock.benchmarking.conversion import prepare_model, work_folder
from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.benchmarking.session import run_session
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.children.process import RuntimeFailedError, check_memory
from opclock.errors import ModelError
from opclock.flags import ordered
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find
from opclock.runtimes.runtime import Settings
from opclock.timing.interleaving import interleave

FIRST_BATCHES = (1, 2, 4, 8, 16)  # prepared together; larger batches are prepared one by one
ESTIMATE_S = 3.0  # of kernel rounds at each batch
# During the search, sampling is short: enough to see whether a larger batch has more throughput.
SEARCH_S = 0.8  # of kernel rounds
SEARCH = SamplingOptions(warmup=2, iterations=30, duration_s=0.6)


def curves(
    model: str, *, runtime: str = "eager", input_text: str | None = None, batch_dim: int | None = None,
    settings: Settings, max_batch: int = 256, profile: Profile, progress: Progress = silent,
) -> list[BatchCurve]:  # fmt: skip
    """Measure a model's batch curve. In eager PyTorch, whose kernels opclock can time, also estimate it.

    Args, Raises: see ``measured_curve`` and ``estimated_curve``.
    """
    both = [measured_curve(model, runtime=runtime, input_text=input_text, batch_dim=batch_dim, settings=settings,
                           max_batch=max_batch, progress=progress)]  # fmt: skip
    if runtime == "eager":
        both.append(estimated_curve(model, profile, input_text=input_text, batch_dim=batch_dim, settings=settings,
                                    max_batch=max_batch, progress=progress))  # fmt: skip
    return both


def measured_curve(
    model: str,
    *,
    runtime: str = "eager",
    input_text: str | None = None,
    batch_dim: int | None = None,
    settings: Settings,
    max_batch: int = 256,
    sampling: SamplingOptions = SamplingOptions(duration_s=1.5),
    timeouts: Timeouts = Timeouts(),
    progress: Progress = silent,
) -> BatchCurve:
    """Double the batch until the throughput no longer grows, then time all batches in turn.

    Args:
        model: a name, see ``load_model``.
        runtime: the runtime's name.
        input_text: shapes of random inputs, instead of the model's own.
        batch_dim: the dimension of the inputs that is the batch; found by running the model if None.
        settings: threads and precision.
        max_batch: the largest batch.
        sampling: how long to sample each batch.
        timeouts: after how long a process counts as hung.
        progress: receives a text and the fraction that is done.

    Returns:
        The curve.

    Raises:
        ModelError: eager PyTorch cannot run the model, or the runtime cannot run it at batch 1.
        OptionError: no such runtime.
    """
    chosen = find(runtime)
    with work_folder(None, model) as folder:
        job = Job(folder, model, input_text, batch_dim=batch_dim)
        note = _note_about_batch(job, settings, timeouts)
        failures: list[str] = []

        def throughput_of(batch: int) -> float | None:
            progress(f"{model} in {runtime}: batch {batch}", 0.0)
            if batch > FIRST_BATCHES[-1] and not _prepared(job.at(batch), settings, timeouts):
                return None
            candidate = Candidate.of(chosen, job.at(batch), settings, timeouts)
            run_session([candidate], SEARCH)
            failures.append(candidate.row.reason)
            return candidate.row.throughput_per_s if candidate.alive else None

        prepare_model(job, [batch for batch in FIRST_BATCHES if batch <= max_batch], settings, timeouts)
        batches, stopped = doubled(throughput_of, max_batch)
        if not batches:
            raise ModelError(f"{model} does not run in {runtime}: {failures[0]}")
        candidates = [Candidate.of(chosen, job.at(batch), settings, timeouts) for batch in batches]
        run_session(candidates, sampling, progress=progress)
    points = tuple(candidate.row.point for candidate in candidates if candidate.alive)
    failed = [candidate.row for candidate in candidates if not candidate.alive]
    if not points:
        raise ModelError(f"{model} does not run in {runtime}: {failed[0].reason}")
    stopped = "; ".join([stopped, *(f"batch {row.batch} could not be timed: {row.reason}" for row in failed)])
    return BatchCurve(model, runtime, "measured", points, stopped, note)


def _note_about_batch(job: Job, settings: Settings, timeouts: Timeouts) -> str:
    """What to know about the dimension that is the batch. Raises ModelError where there is none."""
    try:
        with WorkerProcess(job, settings) as worker:
            answer = worker.ask("learn_batch", timeouts.prepare_s)
    except RuntimeFailedError as fault:
        raise fault.refusal or ModelError(f"{job.model} does not run in eager PyTorch: {fault}") from None
    if not answer["known"]:
        raise ModelError(f"{job.model}: no dimension of its inputs is a batch: name one with batch_dim=NUMBER")
    note: str = answer["note"]
    return note


def _prepared(job: Job, settings: Settings, timeouts: Timeouts) -> bool:
    """Whether eager PyTorch can run the model at this batch. Large batches do not fit into memory."""
    try:
        prepare_model(job, [job.batch], settings, timeouts)
    except ModelError:
        return False
    return True


def estimated_curve(
    model: str, profile: Profile, *, input_text: str | None = None, batch_dim: int | None = None, settings: Settings,
    max_batch: int = 256, max_s: float = ESTIMATE_S, timeouts: Timeouts = Timeouts(), progress: Progress = silent,
) -> BatchCurve:  # fmt: skip
    """Double the batch until the estimated throughput no longer grows, then time all batches' kernels in turn.

    The model is run only to find which dimension is the batch, and traced at each. As in the measurement, each batch
    has its own process: with a common heap, memory that is new in the model could be reused here, and
    the other way round.

    Args:
        model: a name, see ``load_model``.
        profile: stores the kernels' times.
        input_text: shapes of random inputs, instead of the model's own.
        batch_dim: the dimension of the inputs that is the batch; found by running the model if None.
        settings: PyTorch's threads, and the dtype of parameters and inputs.
        max_batch: the largest batch.
        max_s: largest number of seconds of rounds at each batch.
        timeouts: after how long a process counts as hung.
        progress: receives a text and the fraction that is done.

    Returns:
        The curve.

    Raises:
        ModelError: the model cannot be traced at batch 1, or its op calls cannot be timed.
    """
    kernels: dict[int, _BatchKernels] = {}
    failures: list[str] = []
    with work_folder(None, model) as folder, ExitStack() as stack:
        job = Job(folder, model, input_text, batch_dim=batch_dim, runtime="kernels")
        note = _note_about_batch(job, settings, timeouts)

        def throughput_of(batch: int) -> float | None:
            progress(f"{model}, kernels: batch {batch}", 0.0)
            try:
                check_memory()
                worker = stack.enter_context(WorkerProcess(job.at(batch), settings))
                kernels[batch] = _BatchKernels(batch, worker, profile.path, timeouts.load_s)
                return batch / kernels[batch].sample(SEARCH_S)
            except RuntimeFailedError as fault:
                failures.append(str(fault))
                return None

        batches, stopped = doubled(throughput_of, max_batch)
        if not batches:
            raise ModelError(f"the kernels of {model} cannot be timed: {failures[0]}")
        try:
            _sample([kernels[batch] for batch in batches], max_s, progress)
            points = tuple(kernels[batch].point() for batch in batches)
        except RuntimeFailedError as fault:
            raise ModelError(f"the kernels of {model} cannot be timed: {fault}") from fault
    return BatchCurve(model, "eager", "estimated", points, stopped, note)


class _BatchKernels:
    """The op calls of a model at one batch, in their own process."""

    def __init__(self, batch: int, worker: WorkerProcess, profile: Path, timeout_s: float) -> None:
        """Trace the model and warm up its kernels. Raises RuntimeFailedError."""
        self.batch = batch
        self.spent_s = 0.0
        self._worker = worker
        self._timeout_s = timeout_s
        self._latencies_s: list[float] = []  # the median round of each block
        self._known = False
        worker.ask("kernels", timeout_s, profile=str(profile.resolve()))

    def block(self) -> None:
        """Sample one block of rounds. Raises RuntimeFailedError."""
        rounds = max(1, int(BLOCK_S / self._latencies_s[-1])) if self._latencies_s else 1
        block = self._worker.ask("kernel_block", self._timeout_s, rounds=rounds)
        self._latencies_s.append(block["latency_s"])
        self._known = block["known"]
        self.spent_s += block["spent_s"]

    def enough(self, max_s: float) -> bool:
        """Whether it needs no further block: the profile has everything, or ``max_s`` seconds are spent."""
        return self._known or self.spent_s >= max_s

    def sample(self, max_s: float) -> float:
        """The latency of the fastest block within this many seconds. Raises RuntimeFailedError."""
        _sample([self], max_s)
        return min(self._latencies_s)

    def point(self) -> BatchPoint:
        """The estimate from all rounds. Raises RuntimeFailedError."""
        answer = self._worker.ask("estimate", self._timeout_s)
        return BatchPoint(self.batch, **{**answer, "flags": ordered(answer["flags"])})


def _sample(batches: Sequence[_BatchKernels], max_s: float, progress: Progress = silent) -> None:
    """Sample the batches in turn, each for this many seconds. Raises RuntimeFailedError."""
    for batch in batches:
        batch.spent_s = 0.0

    def report() -> None:
        progress("kernels of all batches", min(1.0, sum(batch.spent_s for batch in batches) / max_s / len(batches)))

    interleave(batches, _BatchKernels.block, enough=lambda batch: batch.enough(max_s), order=Random(0), progress=report)
