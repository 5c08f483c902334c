"""Times real inference: eager PyTorch under inference_mode, from an idle device until it is idle again."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from opclock.argument_checks import Count, checked
from opclock.board.accelerator import wait_for
from opclock.board.contention import Contention
from opclock.errors import model_errors
from opclock.profiles.processes import Processes, ProcessTimes, middle, middle_interval, process_times
from opclock.profiles.statistics import Blocks, Samples
from opclock.timing.block_warm_up import BlockWarmUp
from opclock.timing.host_playback import Forward
from opclock.timing.runs import Runs, RunSamples
from opclock.timing.threads import thread_team
from opclock.tracing.forward import Forward as ModelForward
from opclock.tracing.forward import Reset, needs_reset, prepared
from opclock.tracing.model_inputs import arguments_of
from opclock.tracing.specs import flat_tensors
from opclock.tracing.trace import Step

WARM_UP_RUNS = 3
BLOCK_S = 0.1  # of runs in a row
MAX_RUNS = 20
MIN_RUNS = 2


@dataclass(frozen=True)
class Reference:
    """Samples of whole inferences in two independent halves, whose blocks alternate.

    Where several processes took turns, each has both halves.

    Attributes:
        halves: the runs of both; those that other programs disturbed are left out.
        disturbed: the number of runs that were left out.
        contended: whether too few runs of one of the halves were clean, see ``opclock.profiles.disturbance.contended``.
    """

    halves: tuple[RunSamples, RunSamples]
    disturbed: int = 0
    contended: bool = False

    @staticmethod
    def of(first: Runs, second: Runs) -> Reference:
        """The reference from the runs of both halves."""
        return Reference(
            (first.samples, second.samples),
            first.disturbed + second.disturbed,
            first.contended or second.contended,
        )

    @staticmethod
    def joined(parts: Sequence[Reference]) -> Reference:
        """The reference of several processes that took turns, from that of each."""
        if len(parts) == 1:
            return parts[0]

        def half(number: int) -> RunSamples:
            return RunSamples.joined([one.halves[number].in_process(place) for place, one in enumerate(parts, start=1)])

        return Reference((half(0), half(1)), sum(one.disturbed for one in parts), any(one.contended for one in parts))

    @property
    def first(self) -> Samples:
        """Seconds of each run of the first half."""
        return self.halves[0].seconds

    @property
    def repeat(self) -> Samples:
        """Seconds of each run of the second half, which repeats the measurement."""
        return self.halves[1].seconds

    @property
    def first_blocks(self) -> Blocks:
        """For each run of the first half the number of its block. A block's runs were made in a row."""
        return self.halves[0].blocks

    @property
    def repeat_blocks(self) -> Blocks:
        """The same for the second half."""
        return self.halves[1].blocks

    @cached_property
    def runs(self) -> RunSamples:
        """Both halves, in the order of the blocks. Blocks of equal number are neighbours in time."""
        return RunSamples.joined(self.halves)

    @property
    def samples(self) -> Samples:
        """Seconds of each run of both halves, in the order of the blocks."""
        return self.runs.seconds

    @property
    def blocks(self) -> Blocks:
        """The number of the block of each of the samples."""
        return self.runs.blocks

    @property
    def processes(self) -> Processes | None:
        """The number of the process of each of the samples, from 1; None where one process took all."""
        return self.runs.processes

    @cached_property
    def median_s(self) -> float:
        """The median of the samples, in seconds; of several processes, the mean of their medians."""
        return float(middle(self.samples, self.processes))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """The 95 % interval of the median, in seconds."""
        return middle_interval(self.samples, blocks=self.blocks, processes=self.processes)

    @cached_property
    def process_times(self) -> tuple[ProcessTimes, ...]:
        """What each process measured in an inference."""
        return process_times(self.samples, self.runs.faults, blocks=self.blocks, processes=self.processes)

    @property
    def process_spread(self) -> float:
        """How far the processes' medians lie apart, as a fraction of their mean; 0 for one process."""
        medians_s = [one.median_s for one in self.process_times]
        return (max(medians_s) - min(medians_s)) / self.median_s

    @property
    def repeat_error(self) -> float:
        """How far a repetition lies off, as a fraction. No estimate can be expected to be more accurate.

        Of one process: median of the second half / median of the first - 1. Of several: the standard deviation of the
        difference between their mean and that of as many other processes, by the spread of their medians. Two halves of
        the same processes share their layouts of memory, and so say less than that.
        """
        medians_s = [one.median_s for one in self.process_times]
        if len(medians_s) > 1:
            return float(np.std(medians_s, ddof=1)) * math.sqrt(2 / len(medians_s)) / self.median_s
        first_s, second_s = (float(np.median(half.seconds)) for half in self.halves)
        return second_s / first_s - 1.0

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as in a validation's row."""
        low, high = self.interval_s
        return {
            "median_s": self.median_s,
            "ci_low_s": low,
            "ci_high_s": high,
            "samples": len(self.samples),
            "repeat_error": self.repeat_error,
            "process_spread": self.process_spread,
            "processes": [one.to_json() for one in self.process_times],
            "disturbed": self.disturbed,
            "contended": self.contended,
        }

    def samples_to_json(self) -> dict[str, Any]:
        """All samples as JSON-ready data."""
        halves = [half.to_json() for half in self.halves]
        return {"halves": halves, "disturbed": self.disturbed, "contended": self.contended}

    @staticmethod
    def from_samples(data: dict[str, Any]) -> Reference:
        """The inverse of samples_to_json."""
        first, second = (RunSamples.from_json(half) for half in data["halves"])
        return Reference((first, second), data["disturbed"], data["contended"])


def forward_of(
    model: torch.nn.Module, inputs: object, reset: Reset | None = None, steps: Sequence[Step] = ()
) -> Forward:
    """A function that calls the model on its inputs. Before each inference, ``reset`` is called and ``steps`` taken."""
    return ModelForward(model, inputs, reset, steps)


def runs_in_block(latency_s: float) -> int:
    """How many runs of this length, in seconds, make a block. This holds for inferences and for rounds."""
    return max(MIN_RUNS, min(MAX_RUNS, int(BLOCK_S / max(latency_s, 1e-6))))


class ReferenceRun:
    """Takes reference samples block by block, so that others can be timed in between."""

    def __init__(self, forward: Forward, name: str = "the model", device: str = "cpu") -> None:
        """Run the model a few times. Raises ModelError where the model raises."""
        self._forward = forward
        self._name = name
        self._device = device
        contention, block_warm_up = Contention(), BlockWarmUp()
        self._halves = (Runs(contention, block_warm_up), Runs(contention, block_warm_up))
        if isinstance(forward, ModelForward):
            forward.check_values()
        with model_errors(f"on real data, {name}"):
            warm_up = self._in_a_row(0, WARM_UP_RUNS)
        self.runs = runs_in_block(min(warm_up))

    def _in_a_row(self, unkept: int, count: int) -> list[float]:
        """See ``InARow``. Where the model allows it nothing runs between two inferences, as in a user's loop."""
        if needs_reset(self._forward):
            return [self._prepared_once() for _ in range(unkept + count)][unkept:]
        with prepared(self._forward):
            return [self._once() for _ in range(unkept + count)][unkept:]

    def _prepared_once(self) -> float:
        with prepared(self._forward):
            return self._once()

    def _once(self) -> float:
        wait_for(self._device)
        start = time.perf_counter()
        self._forward()
        wait_for(self._device)
        return time.perf_counter() - start

    def block(self, half: int) -> float:
        """Run one block for a half (0 or 1) after runs that are not kept. Returns the wall seconds it took.

        Raises ModelError where the model raises.
        """
        start = time.perf_counter()
        with model_errors(f"in a later run, {self._name}"):
            self._halves[half].block(self._in_a_row, self.runs)
        return time.perf_counter() - start

    @property
    def all_seconds(self) -> Samples:
        """Seconds of all runs so far, those that other programs disturbed included, half after half."""
        return np.concatenate([half.seconds for half in self._halves])

    @property
    def disturbed(self) -> int:
        """How many of them other programs disturbed."""
        return sum(half.disturbed for half in self._halves)

    @property
    def contended(self) -> bool:
        """Whether one of the halves has too few runs that no other program disturbed."""
        return any(half.contended for half in self._halves)

    def reference(self) -> Reference:
        """The samples so far."""
        return Reference.of(*self._halves)


@checked
def reference(model: torch.nn.Module, inputs: object, *, blocks: Count = 10, threads: int | None = None) -> Reference:
    """Time real inference: first a warm-up, then blocks of runs for two halves in turn.

    Args:
        model: in eager mode, on the device of its inputs.
        inputs: a tuple of positional arguments, a mapping, both kinds as ``CallInputs``, or one argument.
        blocks: number of blocks in each half; a block takes about 40 ms, and at least two runs.
        threads: PyTorch's threads; the current setting if None.

    Returns:
        The samples of both halves, in seconds a run.

    Raises:
        ModelError: the model raises.
        OptionError: fewer than one block or thread.
    """
    tensors = flat_tensors(arguments_of(model, inputs))
    device = str(tensors[0].device) if tensors else "cpu"
    with thread_team(torch.get_num_threads() if threads is None else threads):
        run = ReferenceRun(forward_of(model, inputs), type(model).__name__, device)
        for _ in range(blocks):
            run.block(0)
            run.block(1)
    return run.reference()
