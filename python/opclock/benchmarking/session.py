"""Contenders: one model at some batch in some runtime each, converted, loaded, checked, and timed in turn."""

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
from opclock.extension import load_core
from opclock.files import prepare_folder, write_whole
from opclock.progress import Progress, silent
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import OperatorTime, Runtime, Settings

CONVERTED = "converted.json"  # beside the artefacts, once they are whole
MEMORY_LIMIT_BYTES = 400_000_000  # that must be free before one more process is started
BLOCK_S = 0.25  # of one contender's runs in a row: long against its first one's cold start
FEWEST_BLOCKS = 4  # two a half, so that a drift shows
DRIFT_LIMIT = 0.05  # between the halves of a contender's samples
LATE = 10.0  # a block may take this many times what it should, and
GRACE_S = 30.0  # so long on top of it, before its runtime counts as hung


@dataclass(frozen=True)
class Limits:
    """Wall seconds after which a child process counts as hung."""

    prepare_s: float = 900.0  # the model itself, in eager PyTorch, at all batches
    convert_s: float = 600.0
    load_s: float = 300.0


@dataclass(frozen=True)
class Effort:
    """How long to sample: runs before the first kept one, kept runs at most, and seconds of each contender at most."""

    warmup: int = 3
    iterations: int = 200
    duration_s: float = 3.0


@dataclass
class Contender:
    """One runtime at one batch."""

    runtime: Runtime
    job: Job
    row: BenchRow
    worker: WorkerProcess | None = None
    samples: list[float] = field(default_factory=list)
    spent_s: float = 0.0
    runs: int = 1  # in a block

    @staticmethod
    def of(runtime: Runtime, job: Job) -> Contender:
        """Nothing done yet."""
        mine = replace(job, runtime=runtime.name, shared=runtime.batches != "fixed")
        return Contender(runtime, mine, BenchRow(runtime.name, job.batch))

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


def prepare_model(job: Job, batches: Sequence[int], settings: Settings, limits: Limits) -> None:
    """Write what all runtimes share. Raises ModelError where PyTorch itself cannot build or run the model."""
    try:
        with WorkerProcess(job, settings) as worker:
            worker.ask("prepare", limits.prepare_s, batches=list(batches))
    except RuntimeFailedError as fault:
        raise ModelError(f"{job.model} does not run in eager PyTorch: {fault}") from fault


def convert_all(
    contenders: Sequence[Contender], settings: Settings, limits: Limits, *, together: int = 1,
    progress: Progress = silent,
) -> None:  # fmt: skip
    """Convert what is not converted yet, `together` at a time; failures go into the rows."""
    done = 0

    def one(contender: Contender) -> None:
        nonlocal done
        progress(f"{contender.job.model}: converting for {contender.runtime.name}", done / len(contenders))
        _convert(contender, settings, limits)
        done += 1

    # What several batches share is converted once, at the first of them.
    first: dict[Path, Contender] = {}
    for contender in contenders:
        first.setdefault(contender.job.artefacts, contender)
    _at_once(one, first.values(), together)
    for contender in contenders:
        theirs = first[contender.job.artefacts].row
        contender.row = replace(theirs, batch=contender.job.batch)


def _at_once(step: Callable[[Contender], None], contenders: Iterable[Contender], together: int) -> None:
    """So many at a time; an interruption ends the processes that are waited for."""
    pool = ThreadPoolExecutor(together)
    try:
        list(pool.map(step, contenders))
    except BaseException:
        end_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _convert(contender: Contender, settings: Settings, limits: Limits) -> None:
    runtime, job = contender.runtime, contender.job
    try:
        missing = runtime.missing()
        versions = {} if missing else runtime.versions()
    except Exception as error:  # of somebody else's package
        contender.fail(f"it cannot say whether it is there: {type(error).__name__}: {first_line(error)}")
        return
    if missing:
        contender.row = replace(contender.row, status="missing", reason=missing)
        return
    contender.row = replace(contender.row, versions=versions)
    if settings.precision not in runtime.precisions:
        offered = ", ".join(runtime.precisions)
        contender.fail(f"offers no {settings.precision}: {offered}")
        return
    note = job.artefacts / CONVERTED
    wanted = {"versions": contender.row.versions, "precision": settings.precision, "digest": job.digest()}
    known = json.loads(note.read_text()) if note.is_file() else {}
    if {name: known.get(name) for name in wanted} != wanted:
        shutil.rmtree(job.artefacts, ignore_errors=True)
        try:
            with WorkerProcess(job, settings) as worker:
                known = {**wanted, **worker.ask("convert", limits.convert_s)}
        except RuntimeFailedError as fault:
            contender.fail(str(fault))
            return
        job.artefacts.mkdir(parents=True, exist_ok=True)
        write_whole(note, json.dumps(known).encode())
    contender.row = replace(contender.row, convert_s=known["seconds"])


def time_in_turn(
    contenders: Sequence[Contender], settings: Settings, effort: Effort, limits: Limits, *, together: int = 1,
    operators: bool = False, progress: Progress = silent, seed: int = 0,
) -> None:  # fmt: skip
    """Load those that are alive, `together` at a time, and sample them in turn; all is kept in their rows.

    Each block goes to one process while the others wait, in an order that is random anew each time round. When all are
    sampled, those that tell are asked for their operators' times, if wanted.
    """
    before = read_state()

    def get_ready(contender: Contender) -> None:
        progress(f"{contender.job.model}: loading {contender.runtime.name}", 0.0)
        guarded(load, contender, settings, limits)

    try:
        _at_once(get_ready, [contender for contender in contenders if contender.alive], together)
        for contender in contenders:
            guarded(warm_up, contender, effort)
        _take_turns(contenders, effort, random.Random(seed), progress)
        throttled = ("throttled",) if before.throttled or read_state().throttled else ()
        for contender in contenders:
            guarded(_finish, contender, (*throttled, *team_flags(before.affinity, settings.threads)))
        for contender in contenders:
            if operators and contender.alive and contender.runtime.tells:
                told = _operators(contender, settings, limits)
                contender.row = replace(contender.row, operators=told)
    finally:
        for contender in contenders:
            contender.close()


def _take_turns(contenders: Sequence[Contender], effort: Effort, order: random.Random, progress: Progress) -> None:
    """A block of each that has not enough yet, again and again."""
    going = [contender for contender in contenders if contender.alive]
    while going:
        order.shuffle(going)
        for contender in going:
            guarded(block, contender)
            spent_s = sum(each.spent_s for each in contenders)
            progress(f"{contender.job.model}: timing", min(1.0, spent_s / (effort.duration_s * len(contenders))))
        going = [contender for contender in going if contender.alive and not _enough(contender, effort)]


def _operators(contender: Contender, settings: Settings, limits: Limits) -> tuple[OperatorTime, ...]:
    """From the process that was timed, or else one that is loaded as profiled; empty where it fails at that."""
    try:
        told = _ask(contender, "operators", limits.load_s)["operators"]
        if not told:
            with WorkerProcess(contender.job, settings) as worker:
                worker.ask("load", limits.load_s, profiled=True)
                told = worker.ask("operators", limits.load_s)["operators"]
    except RuntimeFailedError:
        return ()
    return tuple(OperatorTime(**operator) for operator in told)


def guarded(step: Callable[..., None], contender: Contender, *details: object) -> None:
    """A step of a contender that is alive; what goes wrong ends it alone."""
    if contender.alive:
        try:
            step(contender, *details)
        except RuntimeFailedError as fault:
            contender.fail(str(fault))


def _ask(contender: Contender, what: str, limit_s: float, **details: Any) -> dict[str, Any]:  # noqa: ANN401
    assert contender.worker is not None, "it is loaded first"
    return contender.worker.ask(what, limit_s, **details)


def check_memory() -> None:
    """Raise RuntimeFailedError where there is no room for one more process."""
    free = psutil.virtual_memory().available
    if free < MEMORY_LIMIT_BYTES:
        raise RuntimeFailedError(f"load: not enough memory, {free / 1e6:.0f} MB are free")


def load(contender: Contender, settings: Settings, limits: Limits) -> None:
    """Start its process, run it once and compare the answer with eager's. Raises RuntimeFailedError."""
    check_memory()
    contender.worker = WorkerProcess(contender.job, settings)
    told = _ask(contender, "load", limits.load_s, profiled=False)
    if told["wrong"]:
        raise RuntimeFailedError(f"wrong answer: {told['wrong']}")
    contender.row = replace(contender.row, load_s=told["load_s"], first_run_s=told["first_run_s"])


def warm_up(contender: Contender, effort: Effort) -> None:
    """Run it, and fix how many runs make a block. Raises RuntimeFailedError."""
    expected_s = (1 + effort.warmup) * contender.row.first_run_s
    told = _ask(contender, "block", GRACE_S + LATE * expected_s, runs=max(1, effort.warmup))
    latency_s = min(told["samples"])
    most = max(1, effort.iterations // FEWEST_BLOCKS)
    contender.runs = max(1, min(most, int(BLOCK_S / max(latency_s, 1e-9))))


def block(contender: Contender) -> None:
    """One block of samples, after one run that is not kept. Raises RuntimeFailedError."""
    start = time.perf_counter()
    expected_s = (1 + contender.runs) * max(contender.samples or [contender.row.first_run_s])
    told = _ask(contender, "block", GRACE_S + LATE * expected_s, runs=contender.runs)
    contender.samples += told["samples"]
    contender.spent_s += time.perf_counter() - start


def _enough(contender: Contender, effort: Effort) -> bool:
    kept = len(contender.samples)
    return kept >= effort.iterations or (contender.spent_s >= effort.duration_s and kept >= 2)


def _finish(contender: Contender, board: tuple[str, ...]) -> None:
    peak = _ask(contender, "memory", GRACE_S)["peak_bytes"]
    drifting = abs(load_core().drift(contender.samples)) > DRIFT_LIMIT
    flags = (*board, *(("drifting",) if drifting else ()))
    contender.row = replace(contender.row, samples=np.array(contender.samples), peak_bytes=peak, flags=flags)
