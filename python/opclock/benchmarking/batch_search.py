"""Batch curves of a model: measured in a runtime, and estimated from kernels alone."""

from __future__ import annotations

from contextlib import ExitStack
from random import Random
from typing import Any

from opclock.benchmarking.batch_scaling import BatchCurve, BatchPoint, doubled
from opclock.benchmarking.session import (
    BLOCK_S,
    Candidate,
    SamplingOptions,
    Timeouts,
    check_memory,
    convert_all,
    prepare_model,
    time_in_turn,
    work_folder,
)
from opclock.benchmarking.worker.process import RuntimeFailedError, WorkerProcess
from opclock.errors import ModelError
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find
from opclock.runtimes.runtime import Settings

FIRST_BATCHES = (1, 2, 4, 8, 16)  # prepared at once: for each of the others the model is built anew
ESTIMATE_S = 3.0  # of kernel rounds at each batch
LOOK_S = 0.8  # of kernel rounds, and
LOOK = SamplingOptions(warmup=2, iterations=30, duration_s=0.6)  # enough to see whether a batch brings anything


def measured_curve(
    model: str,
    *,
    runtime: str = "eager",
    input_text: str | None = None,
    settings: Settings,
    most: int = 256,
    sampling: SamplingOptions = SamplingOptions(duration_s=1.5),
    timeouts: Timeouts = Timeouts(),
    progress: Progress = silent,
) -> BatchCurve:
    """Double the batch until nothing is gained, then time all batches in turn.

    Raises ModelError where eager PyTorch cannot run the model, or the runtime cannot run it at batch 1.
    """
    found, first_failure = find(runtime), ""
    with work_folder(None, model) as place:
        job = Job(place, model, input_text)

        def look(batch: int) -> float | None:
            nonlocal first_failure
            progress(f"{model} in {runtime}: batch {batch}", 0.0)
            candidate = Candidate.of(found, job.at(batch))
            if batch > FIRST_BATCHES[-1] and not _prepared(job.at(batch), settings, timeouts):
                return None
            convert_all([candidate], settings, timeouts)
            time_in_turn([candidate], settings, LOOK, timeouts)
            first_failure = first_failure or candidate.row.reason
            return candidate.row.throughput_per_s if candidate.alive else None

        prepare_model(job, [batch for batch in FIRST_BATCHES if batch <= most], settings, timeouts)
        batches, stopped = doubled(look, most)
        if not batches:
            raise ModelError(f"{model} does not run in {runtime}: {first_failure}")
        candidates = [Candidate.of(found, job.at(batch)) for batch in batches]
        convert_all(candidates, settings, timeouts)
        time_in_turn(candidates, settings, sampling, timeouts, progress=progress)
    points = tuple(candidate.row.point for candidate in candidates if candidate.alive)
    return BatchCurve(model, runtime, "measured", points, stopped)


def _prepared(job: Job, settings: Settings, timeouts: Timeouts) -> bool:
    """Whether eager PyTorch could run the model at this batch: beyond some, memory ends."""
    try:
        prepare_model(job, [job.batch], settings, timeouts)
    except ModelError:
        return False
    return True


def estimated_curve(
    model: str, profile: Profile, *, input_text: str | None = None, settings: Settings, most: int = 256,
    max_s: float = ESTIMATE_S, timeouts: Timeouts = Timeouts(), progress: Progress = silent,
) -> BatchCurve:  # fmt: skip
    """Double the batch until the estimate gains nothing, then time the kernels of all batches in turn.

    The model is traced at each batch, and never run. Each batch has a process of its own, as where it is measured: in
    one heap for all of them, memory that is new in the model would be used memory, and the other way round.

    Args:
        model: as load_model takes it.
        profile: where kernels are kept.
        input_text: shapes of random inputs, instead of the model's own.
        settings: PyTorch's threads, and the dtype of parameters and inputs.
        most: the largest batch.
        max_s: seconds of rounds at each batch at most.
        timeouts: when a process counts as hung.
        progress: told what is done.

    Raises:
        ModelError: the model cannot be traced, or its op calls not be timed, at batch 1.
    """
    first_failure = ""
    workers: dict[int, WorkerProcess] = {}
    with work_folder(None, model) as place, ExitStack() as stack:

        def look(batch: int) -> float | None:
            nonlocal first_failure
            progress(f"{model}, kernels: batch {batch}", 0.0)
            job = Job(place, model, input_text, batch=batch, runtime="kernels")
            try:
                check_memory()
                worker = stack.enter_context(WorkerProcess(job, settings))
                worker.ask("kernels", timeouts.load_s, profile=str(profile.path.resolve()))
                turns = _turns({batch: worker}, LOOK_S, timeouts)[batch]
            except RuntimeFailedError as fault:
                first_failure = first_failure or str(fault)
                return None
            workers[batch] = worker
            return batch / min(float(turn["latency_s"]) for turn in turns)

        batches, stopped = doubled(look, most)
        if not batches:
            raise ModelError(f"the kernels of {model} cannot be timed: {first_failure}")
        try:
            _turns({batch: workers[batch] for batch in batches}, max_s, timeouts, progress)
            points = [BatchPoint(batch, **workers[batch].ask("estimate", timeouts.load_s)) for batch in batches]
        except RuntimeFailedError as fault:
            raise ModelError(f"the kernels of {model} cannot be timed: {fault}") from fault
    return BatchCurve(model, "eager", "estimated", tuple(points), stopped)


def _turns(
    workers: dict[int, WorkerProcess], max_s: float, timeouts: Timeouts, progress: Progress = silent
) -> dict[int, list[dict[str, Any]]]:
    """Blocks of rounds of each batch in turn, in an order that is random anew each time round, so many seconds each.

    Raises RuntimeFailedError.
    """
    made: dict[int, list[dict[str, Any]]] = {batch: [] for batch in workers}
    spent_s = dict.fromkeys(workers, 0.0)
    order, going = Random(0), list(workers)
    while going:
        order.shuffle(going)
        for batch in going:
            rounds = max(1, int(BLOCK_S / made[batch][-1]["latency_s"])) if made[batch] else 1
            made[batch].append(workers[batch].ask("turn", timeouts.load_s, rounds=rounds))
            spent_s[batch] += made[batch][-1]["spent_s"]
            progress(f"kernels at batch {batch}", min(1.0, sum(spent_s.values()) / max_s / len(workers)))
        going = [batch for batch in going if spent_s[batch] < max_s and not made[batch][-1]["done"]]
    return made


def curves(
    model: str, *, runtime: str = "eager", input_text: str | None = None, settings: Settings, most: int = 256,
    profile: Profile, progress: Progress = silent,
) -> list[BatchCurve]:  # fmt: skip
    """Measured, and for eager PyTorch, the only one whose kernels opclock times, estimated too."""
    found = [measured_curve(model, runtime=runtime, input_text=input_text, settings=settings, most=most,
                            progress=progress)]  # fmt: skip
    if runtime == "eager":
        found.append(estimated_curve(model, profile, input_text=input_text, settings=settings, most=most,
                                     progress=progress))  # fmt: skip
    return found
