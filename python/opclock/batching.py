"""Batch curves of a model: measured in a runtime, and estimated from kernels alone."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.utils._pytree import tree_map_only

from opclock.batch_curve import BatchCurve, BatchPoint, doubled
from opclock.board import read_board
from opclock.contest import Contender, Effort, Limits, convert_all, prepare_model, time_in_turn, work_folder
from opclock.errors import ModelError, OpCallError
from opclock.estimate import estimate
from opclock.host import Forward
from opclock.measure import measure, measure_in_turn
from opclock.model import Model, load_model
from opclock.profile import Profile
from opclock.progress import Progress, silent
from opclock.reference import forward_of
from opclock.runtimes.job import Job, resized
from opclock.runtimes.registry import find
from opclock.runtimes.runtime import Settings
from opclock.trace import Trace
from opclock.tracer import trace

FIRST_BATCHES = (1, 2, 4, 8, 16)  # prepared at once: for each of the others the model is built anew
ESTIMATE_S = 3.0  # of kernel rounds at each batch
LOOK_S = 0.8  # of kernel rounds, and
LOOK = Effort(warmup=2, iterations=30, duration_s=0.6)  # enough to see whether a batch brings anything


def measured_curve(
    model: str, *, runtime: str = "eager", input_text: str | None = None, settings: Settings, most: int = 256,
    effort: Effort = Effort(duration_s=1.5), limits: Limits = Limits(), progress: Progress = silent,  # noqa: B008
) -> BatchCurve:  # fmt: skip
    """Double the batch until nothing is gained, then time all batches in turn.

    Raises ModelError where eager PyTorch cannot run the model, or the runtime cannot run it at batch 1.
    """
    found, first_failure = find(runtime), ""
    with work_folder(None, model) as place:
        job = Job(place, model, input_text)

        def look(batch: int) -> float | None:
            nonlocal first_failure
            progress(f"{model} in {runtime}: batch {batch}", 0.0)
            contender = Contender.of(found, job.at(batch))
            if batch > FIRST_BATCHES[-1] and not _prepared(job.at(batch), settings, limits):
                return None
            convert_all([contender], settings, limits)
            time_in_turn([contender], settings, LOOK, limits)
            first_failure = first_failure or contender.row.reason
            return contender.row.throughput_per_s if contender.alive else None

        prepare_model(job, [batch for batch in FIRST_BATCHES if batch <= most], settings, limits)
        batches, stopped = doubled(look, most)
        if not batches:
            raise ModelError(f"{model} does not run in {runtime}: {first_failure}")
        contenders = [Contender.of(found, job.at(batch)) for batch in batches]
        convert_all(contenders, settings, limits)
        time_in_turn(contenders, settings, effort, limits, progress=progress)
    points = tuple(contender.row.point for contender in contenders if contender.alive)
    return BatchCurve(model, runtime, "measured", points, stopped)


def _prepared(job: Job, settings: Settings, limits: Limits) -> bool:
    """Whether eager PyTorch could run the model at this batch: beyond some, memory ends."""
    try:
        prepare_model(job, [job.batch], settings, limits)
    except ModelError:
        return False
    return True


def estimated_curve(
    model: str, profile: Profile, *, input_text: str | None = None, settings: Settings, most: int = 256,
    most_s: float = ESTIMATE_S, progress: Progress = silent,
) -> BatchCurve:  # fmt: skip
    """Double the batch until the estimate gains nothing, then time the kernels of all batches in turn.

    The model is traced at each batch, and never run.

    Args:
        model: as load_model takes it.
        profile: where kernels are kept, but for those of the first looks.
        input_text: shapes of random inputs, instead of the model's own.
        settings: PyTorch's threads, and the dtype of parameters and inputs.
        most: the largest batch.
        most_s: seconds of rounds at each batch at most.
        progress: told what is done.
    """
    loaded, threads = load_model(model, input_text=input_text, dtype=settings.precision), settings.threads
    traces: dict[int, tuple[Trace, Forward]] = {}

    def look(batch: int) -> float | None:
        mine = _at_batch(loaded, batch)
        traced = trace(mine.module, mine.inputs, name=f"{mine.name}, batch {batch}")
        traces[batch] = traced, forward_of(mine.module, mine.inputs)
        with TemporaryDirectory() as folder, Profile.create_or_open(Path(folder) / "look.sqlite", read_board()) as seen:
            try:
                measure(traced, seen, forward=traces[batch][1], threads=threads, most_s=LOOK_S, progress=progress)
            except OpCallError:
                return None
            return batch / estimate(traced, seen, threads=threads).total_s

    batches, stopped = doubled(look, most)
    measure_in_turn([traces[batch] for batch in batches], profile, threads=threads, most_s=most_s, progress=progress)
    made = {batch: estimate(traces[batch][0], profile, threads=threads) for batch in batches}
    points = [BatchPoint(batch, one.total_s, one.ci_low_s, one.ci_high_s) for batch, one in made.items()]
    return BatchCurve(model, "eager", "estimated", tuple(points), stopped)


def _at_batch(model: Model, batch: int) -> Model:
    def grown(tensor: torch.Tensor) -> torch.Tensor:
        return resized(tensor, batch) if tensor.ndim else tensor

    return Model(model.name, model.module, tree_map_only(torch.Tensor, grown, model.inputs))


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
