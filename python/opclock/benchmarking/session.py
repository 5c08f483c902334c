"""Candidates: one model at some batch in some runtime each, converted, loaded, checked, and timed in turn."""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from opclock.benchmarking.result import BenchRow
from opclock.benchmarking.worker.process import RuntimeFailedError, WorkerProcess, end_all
from opclock.board.state import read_state, team_flags
from opclock.errors import ModelError, first_line
from opclock.files import prepare_folder, write_whole
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import OperatorTime, Runtime, Settings
from opclock.timing.flags import drift_flags, throttle_flags

CONVERTED = "converted.json"  # beside the artefacts, once they are whole
MEMORY_LIMIT_BYTES = 400_000_000  # that must be free before one more process is started
BLOCK_S = 0.25  # of one candidate's runs in a row: long against its first one's cold start
MIN_BLOCKS = 4  # two a half, so that a drift shows
LATE = 10.0  # a block may take this many times what it should, and
GRACE_S = 30.0  # so long on top of it, before its runtime counts as hung


@dataclass(frozen=True)
class Timeouts:
    """Wall seconds after which a child process counts as hung."""

    prepare_s: float = 900.0  # the model itself, in eager PyTorch, at all batches
    convert_s: float = 600.0
    load_s: float = 300.0


@dataclass(frozen=True)
class SamplingOptions:
    """How long to sample: runs before the first kept one, kept runs at most, and seconds of each candidate at most."""

    warmup: int = 3
    iterations: int = 200
    duration_s: float = 3.0


@dataclass
class Candidate:
    """One runtime at one batch."""

    runtime: Runtime
    job: Job
    row: BenchRow
    worker: WorkerProcess | None = None
    samples: list[float] = field(default_factory=list)
    spent_s: float = 0.0
    runs: int = 1  # in a block

    @staticmethod
    def of(runtime: Runtime, job: Job) -> Candidate:
        """Nothing done yet."""
        mine = replace(job, runtime=runtime.name, shared=runtime.batches != "fixed")
        return Candidate(runtime, mine, BenchRow(runtime.name, job.batch))

    @property
    def alive(self) -> bool:
        """Whether nothing has gone wrong so far."""
        return self.row.status == "ok"

    def fail(self, reason: str) -> None:
        """Keep the reason, end the process, and drop what was sampled."""
        self.row = replace(self.row, status="failed", reason=reason)
        self.samples.clear()
        self.close()

    def close(self) -> None:
        """End its process, if it has one."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None


@contextmanager
def work_folder(folder: Path | None, model: str) -> Iterator[Path]:
    """A model's own place in the given folder, or a temporary one that is removed afterwards.

    Raises OptionError where the folder cannot be written.
    """
    if folder is not None:
        place = folder / re.sub(r"[^\w.-]+", "-", model)
        prepare_folder(place)
        yield place
        return
    temporary = Path(tempfile.mkdtemp(prefix="opclock-"))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def prepare_model(job: Job, batches: Sequence[int], settings: Settings, timeouts: Timeouts) -> None:
    """Write what all runtimes share. Raises ModelError where PyTorch itself cannot build or run the model."""
    try:
        with WorkerProcess(job, settings) as worker:
            worker.ask("prepare", timeouts.prepare_s, batches=list(batches))
    except RuntimeFailedError as fault:
        raise ModelError(f"{job.model} does not run in eager PyTorch: {fault}") from fault


def convert_all(
    candidates: Sequence[Candidate], settings: Settings, timeouts: Timeouts, *, together: int = 1,
    progress: Progress = silent,
) -> None:  # fmt: skip
    """Convert what is not converted yet, `together` at a time; failures go into the rows."""
    done = 0

    def one(candidate: Candidate) -> None:
        nonlocal done
        progress(f"{candidate.job.model}: converting for {candidate.runtime.name}", done / len(candidates))
        _convert(candidate, settings, timeouts)
        done += 1

    # What several batches share is converted once, at the first of them.
    first: dict[Path, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.job.artefacts, candidate)
    _at_once(one, first.values(), together)
    for candidate in candidates:
        theirs = first[candidate.job.artefacts].row
        candidate.row = replace(theirs, batch=candidate.job.batch)


def _at_once(step: Callable[[Candidate], None], candidates: Iterable[Candidate], together: int) -> None:
    """So many at a time; an interruption ends the processes that are waited for."""
    pool = ThreadPoolExecutor(together)
    try:
        list(pool.map(step, candidates))
    except BaseException:
        end_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _convert(candidate: Candidate, settings: Settings, timeouts: Timeouts) -> None:
    runtime, job = candidate.runtime, candidate.job
    try:
        missing = runtime.missing()
        versions = {} if missing else runtime.versions()
    except Exception as error:  # of somebody else's package
        candidate.fail(f"it cannot say whether it is there: {type(error).__name__}: {first_line(error)}")
        return
    if missing:
        candidate.row = replace(candidate.row, status="missing", reason=missing)
        return
    candidate.row = replace(candidate.row, versions=versions)
    if settings.precision not in runtime.precisions:
        offered = ", ".join(runtime.precisions)
        candidate.fail(f"offers no {settings.precision}: {offered}")
        return
    note = job.artefacts / CONVERTED
    wanted = {"versions": candidate.row.versions, "precision": settings.precision, "digest": job.digest()}
    known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    if {name: known.get(name) for name in wanted} != wanted:
        shutil.rmtree(job.artefacts, ignore_errors=True)
        try:
            with WorkerProcess(job, settings) as worker:
                known = {**wanted, **worker.ask("convert", timeouts.convert_s)}
        except RuntimeFailedError as fault:
            candidate.fail(str(fault))
            return
        job.artefacts.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps(known).encode())
    candidate.row = replace(candidate.row, convert_s=known["seconds"])


def time_in_turn(
    candidates: Sequence[Candidate],
    settings: Settings,
    sampling: SamplingOptions,
    timeouts: Timeouts,
    *,
    together: int = 1,
    operators: bool = False,
    progress: Progress = silent,
    seed: int = 0,
) -> None:
    """Load those that are alive, `together` at a time, and sample them in turn; all is kept in their rows.

    Each block goes to one process while the others wait, in an order that is random anew each time round. When all are
    sampled, those that tell are asked for their operators' times, if wanted.
    """
    before = read_state()

    def get_ready(candidate: Candidate) -> None:
        progress(f"{candidate.job.model}: loading {candidate.runtime.name}", 0.0)
        guarded(load, candidate, settings, timeouts)

    try:
        _at_once(get_ready, [candidate for candidate in candidates if candidate.alive], together)
        for candidate in candidates:
            guarded(warm_up, candidate, sampling)
        _take_turns(candidates, sampling, random.Random(seed), progress)
        throttled = throttle_flags(before, read_state())
        for candidate in candidates:
            guarded(_finish, candidate, (*throttled, *team_flags(before.affinity, settings.threads)))
        for candidate in candidates:
            if operators and candidate.alive and candidate.runtime.reports_operator_times:
                told = _operators(candidate, settings, timeouts)
                candidate.row = replace(candidate.row, operators=told)
    finally:
        for candidate in candidates:
            candidate.close()


def _take_turns(
    candidates: Sequence[Candidate], sampling: SamplingOptions, order: random.Random, progress: Progress
) -> None:
    """A block of each that has not enough yet, again and again."""
    going = [candidate for candidate in candidates if candidate.alive]
    while going:
        order.shuffle(going)
        for candidate in going:
            guarded(block, candidate)
            spent_s = sum(each.spent_s for each in candidates)
            progress(f"{candidate.job.model}: timing", min(1.0, spent_s / (sampling.duration_s * len(candidates))))
        going = [candidate for candidate in going if candidate.alive and not _enough(candidate, sampling)]


def _operators(candidate: Candidate, settings: Settings, timeouts: Timeouts) -> tuple[OperatorTime, ...]:
    """From the process that was timed, or else one that is loaded as profiled; empty where it fails at that."""
    try:
        told = _ask(candidate, "operators", timeouts.load_s)["operators"]
        if not told:
            with WorkerProcess(candidate.job, settings) as worker:
                worker.ask("load", timeouts.load_s, profiled=True)
                told = worker.ask("operators", timeouts.load_s)["operators"]
    except RuntimeFailedError:
        return ()
    return tuple(OperatorTime(**operator) for operator in told)


def guarded(step: Callable[..., None], candidate: Candidate, *details: object) -> None:
    """A step of a candidate that is alive; what goes wrong ends it alone."""
    if candidate.alive:
        try:
            step(candidate, *details)
        except RuntimeFailedError as fault:
            candidate.fail(str(fault))


def _ask(candidate: Candidate, what: str, limit_s: float, **details: Any) -> dict[str, Any]:  # noqa: ANN401
    assert candidate.worker is not None, "it is loaded first"
    return candidate.worker.ask(what, limit_s, **details)


def check_memory() -> None:
    """Raise RuntimeFailedError where there is no room for one more process."""
    free = psutil.virtual_memory().available
    if free < MEMORY_LIMIT_BYTES:
        raise RuntimeFailedError(f"load: not enough memory, {free / 1e6:.0f} MB are free")


def load(candidate: Candidate, settings: Settings, timeouts: Timeouts) -> None:
    """Start its process, run it once and compare the answer with eager's. Raises RuntimeFailedError."""
    check_memory()
    candidate.worker = WorkerProcess(candidate.job, settings)
    told = _ask(candidate, "load", timeouts.load_s, profiled=False)
    if told["wrong"]:
        raise RuntimeFailedError(f"wrong answer: {told['wrong']}")
    candidate.row = replace(candidate.row, load_s=told["load_s"], first_run_s=told["first_run_s"])


def warm_up(candidate: Candidate, sampling: SamplingOptions) -> None:
    """Run it, and fix how many runs make a block. Raises RuntimeFailedError."""
    expected_s = (1 + sampling.warmup) * candidate.row.first_run_s
    told = _ask(candidate, "block", GRACE_S + LATE * expected_s, runs=max(1, sampling.warmup))
    latency_s = min(told["samples"])
    most = max(1, sampling.iterations // MIN_BLOCKS)
    candidate.runs = max(1, min(most, int(BLOCK_S / max(latency_s, 1e-9))))


def block(candidate: Candidate) -> None:
    """One block of samples, after one run that is not kept. Raises RuntimeFailedError."""
    start = time.perf_counter()
    expected_s = (1 + candidate.runs) * max(candidate.samples or [candidate.row.first_run_s])
    told = _ask(candidate, "block", GRACE_S + LATE * expected_s, runs=candidate.runs)
    candidate.samples += told["samples"]
    candidate.spent_s += time.perf_counter() - start


def _enough(candidate: Candidate, sampling: SamplingOptions) -> bool:
    kept = len(candidate.samples)
    return kept >= sampling.iterations or (candidate.spent_s >= sampling.duration_s and kept >= 2)


def _finish(candidate: Candidate, board: tuple[str, ...]) -> None:
    peak = _ask(candidate, "memory", GRACE_S)["peak_bytes"]
    flags = (*board, *drift_flags(candidate.samples))
    candidate.row = replace(candidate.row, samples=np.array(candidate.samples), peak_bytes=peak, flags=flags)
