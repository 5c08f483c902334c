"""Study B: what does this board deliver through each runtime? Tasks x models x runtimes x batches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from opclock.benchmarking.candidate import Candidate
from opclock.benchmarking.conversion import prepare_model, work_folder
from opclock.benchmarking.options import SamplingOptions, Timeouts
from opclock.benchmarking.result import BenchRow
from opclock.benchmarking.session import run_session
from opclock.benchmarking.worker.process import WorkerProcess
from opclock.board.identity import read_board
from opclock.board.system import allowed_cores
from opclock.children.process import RuntimeFailedError
from opclock.errors import OptionError, ReportError
from opclock.formatting import counted, duration
from opclock.profiles.statistics import Samples
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.registry import find_all
from opclock.runtimes.runtime import Runtime, Settings
from opclock.studies.landscape_results import FILE, Entry, Landscape
from opclock.temporary import temporary_folder

MODELS = ("resnet50-224", "mobilenetv2-224", "ssdlite", "yolox", "deeplabv3")  # and "unet", which takes 5 minutes
BATCHES = (1, 2, 4, 8)
SAMPLING = SamplingOptions(warmup=2, iterations=200, duration_s=2.5)
BATCH_SAMPLING = SamplingOptions(warmup=1, iterations=100, duration_s=1.0)
MAX_LATENCY_S = 3.0  # batches that would take longer are left out
ESTIMATE_S = 3.0  # of kernel rounds a model, at most
POST_RUNS = 30  # of post-processing, enough for an interval of the median


def run(
    folder: Path,
    *,
    models: Sequence[str] = MODELS,
    runtimes: Sequence[str],
    batches: Sequence[int] = BATCHES,
    settings: Settings,
    label: str = "",
    timeouts: Timeouts = Timeouts(),
    progress: Progress = silent,
) -> Landscape:
    """Run every model in every runtime.

    The results are stored after each model. After an interruption, the next call continues from there.

    Args:
        folder: holds landscape.json.
        models: names in zoo.LANDSCAPE, or names for ``load_model``.
        runtimes: names; eager is always included.
        batches: batch sizes for runtimes that need no conversion for each batch.
        settings: threads and precision of all runtimes.
        label: a name for this board; its identity and threads if empty.
        timeouts: after how long a runtime counts as hung.
        progress: receives a text and the fraction that is done.

    Returns:
        The landscape, its models in the given order.

    Raises:
        OptionError: there is no such runtime, or the folder cannot be written.
        ReportError: the folder has a landscape.json of another board or other settings.
    """
    chosen = find_all(runtimes)
    wanted = {runtime.name for runtime in chosen}
    landscape = _opened(folder / FILE, label, settings)
    for number, model in enumerate(models):
        known = landscape.entry(model)
        if known is not None and wanted <= {row.runtime for row in known.rows}:
            continue
        start = time.monotonic()
        position = f"{number + 1}/{len(models)}{_time_left(landscape, len(models) - number)}"
        entry = _measured(
            model, chosen, batches, settings, timeouts, _prefixed(progress, position, number / len(models))
        )
        landscape = landscape.with_entry(entry, time.monotonic() - start)
        landscape.save(folder / FILE)
    return landscape.in_order(models)


def _time_left(landscape: Landscape, models: int) -> str:
    """What so many models more will take, from those that are done; "" before the first."""
    if not landscape.entries:
        return ""
    seconds = landscape.seconds / len(landscape.entries) * models
    return f", {duration(seconds)} left"


def _prefixed(progress: Progress, position: str, done: float) -> Progress:
    return lambda text, _fraction: progress(f"[{position}] {text}", done)


def _opened(path: Path, label: str, settings: Settings) -> Landscape:
    """What an earlier run on this board in these settings has finished, or an empty landscape."""
    board = read_board()
    fresh = Landscape(
        label or f"{board.identity}, {counted(settings.threads, 'thread')}", board.to_json(), settings, ()
    )
    if not path.exists():
        return fresh
    earlier = Landscape.load(path)
    if (earlier.board["identity"], earlier.settings) != (fresh.board["identity"], fresh.settings):
        raise ReportError(
            f"{path} holds {earlier.label} in other settings: give --report another folder, or remove the file"
        )
    return replace(earlier, label=fresh.label)


def _measured(
    model: str, runtimes: Sequence[Runtime], batches: Sequence[int], settings: Settings, timeouts: Timeouts,
    progress: Progress,
) -> Entry:  # fmt: skip
    """One model in every runtime."""
    name, task = _resolved(model)
    with work_folder(None, model) as folder:
        job = Job(folder, name)
        progress(f"{model}: eager PyTorch's answers", 0.0)
        prepare_model(job, sorted({1, *batches}), settings, timeouts)
        candidates = [Candidate.of(runtime, job, settings, timeouts) for runtime in runtimes]
        run_session(candidates, SAMPLING, at_once=_cores(), operators=True, progress=progress)
        larger: list[BenchRow] = []
        for candidate in candidates:
            if candidate.alive and candidate.runtime.batches == "any":
                larger += _batches(candidate, batches, progress)
        progress(f"{model}: post-processing", 0.0)
        post_s = _post_processing(job, settings, timeouts)
    progress(f"{model}: the kernels of eager PyTorch", 0.0)
    classes_s, note = _eager_classes(name, settings)
    return Entry(model, task, tuple(candidate.row for candidate in candidates), tuple(larger), classes_s, post_s, note)


def _cores() -> int:
    """So many models are converted and loaded at the same time: nothing is timed meanwhile."""
    return len(allowed_cores())


def _resolved(model: str) -> tuple[str, str]:
    """What load_model takes, and the task."""
    from opclock.models.zoo import LANDSCAPE

    if model in LANDSCAPE:
        return f"zoo:{model}", LANDSCAPE[model].task
    if ":" not in model:
        raise OptionError(f"no model {model!r}: there are {', '.join(LANDSCAPE)}, and what 'opclock bench' takes")
    return model, "other"


def _batches(candidate: Candidate, batches: Sequence[int], progress: Progress) -> list[BenchRow]:
    """The candidate's runtime at all batches, those left out that would take too long."""
    several = [
        Candidate.of(candidate.runtime, candidate.job.at(batch), candidate.settings, candidate.timeouts)
        for batch in batches
        if batch == 1 or batch * candidate.row.median_s <= MAX_LATENCY_S
    ]
    run_session(several, BATCH_SAMPLING, at_once=_cores(), progress=progress)
    return [each.row for each in several]


def _post_processing(job: Job, settings: Settings, timeouts: Timeouts) -> Samples:
    """Seconds of each run of the model's post-processing in PyTorch; empty where it has none or that fails."""
    try:
        with WorkerProcess(replace(job, runtime="eager"), settings) as worker:
            return np.array(worker.ask("postprocess", timeouts.load_s, runs=POST_RUNS)["samples"], dtype=float)
    except RuntimeFailedError:
        return np.empty(0)


def _eager_classes(name: str, settings: Settings) -> tuple[dict[str, float], str]:
    """Eager's seconds by operator class, from kernels timed now; or why there are none."""
    from opclock.errors import OpclockError
    from opclock.estimation.estimate import estimate
    from opclock.models.loading import load_model
    from opclock.profiles.profile import Profile
    from opclock.timing.measure import measure
    from opclock.timing.reference import forward_of
    from opclock.tracing.recorder import trace

    try:
        with temporary_folder() as folder:
            loaded = load_model(name, dtype=settings.precision)
            traced = trace(loaded.module, loaded.inputs, name=loaded.name, reset=loaded.reset)
            with Profile.create_or_open(folder / "profile.sqlite", read_board()) as profile:
                forward = forward_of(loaded.module, loaded.inputs, loaded.reset, traced.steps)
                measure(traced, profile, forward=forward, threads=settings.threads, max_s=ESTIMATE_S)
                return estimate(traced, profile, threads=settings.threads).by_class(), ""
    except OpclockError as error:
        return {}, str(error)
