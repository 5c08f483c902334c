"""Runs one model on both sides in turn: several processes a side, block by block."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opclock.board.memory import free_memory_bytes
from opclock.board.system import allowed_cores
from opclock.children.process import MIN_FREE_BYTES, run_at_once
from opclock.gating.process import GateProcess
from opclock.gating.sides import Side
from opclock.models.loading import Specification
from opclock.profiles.statistics import Samples
from opclock.progress import Progress
from opclock.timing.interleaving import interleave_together

# Of each side. Processes of one model have layouts of memory of their own, and differ by 1 to 3 % (standard deviation):
# five tell 10 % from that.
PROCESSES = 5
# The quantile of a process's runs that counts, as other programs only make runs slower. Where they disturbed nine runs
# in ten, equal processes differed by 1.5 % in it (standard deviation), 2.4 % in the shortest run, 19 % in the median.
FAST = 0.10
AT_ONCE = 2  # of each side at least, so that equal ones are compared in the same minutes
MIN_PASSES = 8  # one pass is a block in each process
MAX_PASSES = 40
MAX_S = 6.0  # of runs for a small model; three times that where other programs disturb them
LONGEST = 3.0  # times that
LOADING = 0.4  # of the time of a model, for the display


@dataclass(frozen=True)
class Job:
    """One model that both sides run.

    Attributes:
        model: as the user named it.
        sides: base and head.
        threads: PyTorch's.
        input_text: random inputs in place of the model's own; None for these.
        folder: see ``process.make_starter``.
    """

    model: str
    sides: tuple[Side, Side]
    threads: int
    input_text: str | None
    folder: Path


@dataclass(frozen=True)
class ProcessRuns:
    """What one process measured.

    Attributes:
        side: 0 for the base, 1 for the head.
        wave: processes of one wave ran in turn.
        seconds: of its runs.
        disturbed: how many of them other programs disturbed.
        contended: whether these are nearly all.
    """

    side: int
    wave: int
    seconds: Samples
    disturbed: int
    contended: bool

    @property
    def level(self) -> float:
        """The logarithm of its typical seconds."""
        return float(np.log(np.quantile(self.seconds, FAST)))


@dataclass(frozen=True)
class ModelRuns:
    """What all processes measured of one model, and the versions of Python and torch of both sides."""

    processes: tuple[ProcessRuns, ...]
    versions: tuple[dict[str, str], dict[str, str]]


def run_in_turn(job: Job, progress: Progress) -> ModelRuns:
    """Run a model on both sides, all processes in turn; in waves of two and two where memory is too small for all.

    Args:
        job: the model and the sides.
        progress: receives a text and the fraction that is done.

    Returns:
        The runs of all processes.

    Raises:
        GateError: a side cannot load or run the model, or memory is short.
    """
    found: list[ProcessRuns] = []
    versions: tuple[dict[str, str], dict[str, str]] = ({}, {})
    while len(found) < 2 * PROCESSES:
        begun = len(found)

        def report(state: str, share: float, begun: int = begun) -> None:
            progress(f"{job.model}: {state}", min(1.0, (begun + share * 2 * PROCESSES) / (2 * PROCESSES)))

        with ExitStack() as stack:
            report("starting processes", 0.0)
            processes = _started(job, stack, AT_ONCE, begun)
            if not found and _fits(processes):
                report("starting processes", LOADING / 2)
                processes += _started(job, stack, PROCESSES - AT_ONCE, 2 * AT_ONCE)
            _sample(processes, random.Random(begun), report)
            found += [ProcessRuns(job.sides.index(one.side), begun, *one.samples(), one.contended) for one in processes]
            versions = processes[0].versions, processes[1].versions
    return ModelRuns(tuple(found), versions)


def _started(job: Job, stack: ExitStack, pairs: int, number: int) -> list[GateProcess]:
    """Start so many processes of each side, with the model loaded and warm; they end with the stack."""
    processes = [
        stack.enter_context(GateProcess(side, job.folder, number + 2 * pair + place))
        for pair in range(pairs)
        for place, side in enumerate(job.sides)
    ]

    def load(process: GateProcess) -> None:
        process.load(Specification(process.side.model(job.model), job.input_text), job.threads)

    run_at_once(load, processes, len(allowed_cores()))
    for process in processes:
        process.warm_up()
    return processes


def _fits(processes: Sequence[GateProcess]) -> bool:
    """Whether memory is left for the other processes of the first wave."""
    needed = max(process.nbytes for process in processes) * 2 * (PROCESSES - AT_ONCE)
    return needed + MIN_FREE_BYTES <= free_memory_bytes()


def _sample(processes: Sequence[GateProcess], order: random.Random, report: Callable[[str, float], None]) -> None:
    """Run a block in each process, pass after pass, each in a new random order."""
    runs = min(process.runs for process in processes)
    blocks, spent_s = 0, 0.0

    def block(process: GateProcess) -> None:
        nonlocal blocks, spent_s
        spent_s += process.block(runs)
        blocks += 1

    def share() -> float:
        """The fraction of the passes or of the time that is done, whichever ends it."""
        passes = blocks / len(processes)
        limit = LONGEST if any(process.contended for process in processes) else 1.0
        return min(passes / MIN_PASSES, max(passes / MAX_PASSES, spent_s / MAX_S) / limit)

    def shown() -> None:
        report(f"pass {blocks // len(processes) + 1}", LOADING + (1 - LOADING) * min(1.0, share()))

    interleave_together(processes, block, enough=lambda: share() >= 1.0, order=order, progress=shown)
