"""Times real inference: eager PyTorch under inference_mode, from an idle device until it is idle again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from opclock.argument_checks import Count, checked
from opclock.board.accelerator import wait_for
from opclock.board.contention import Contention
from opclock.errors import model_errors
from opclock.profiles.processes import Processes, middle, middle_interval
from opclock.profiles.statistics import Samples
from opclock.timing.host_playback import Forward
from opclock.timing.runs import Runs
from opclock.timing.threads import thread_team
from opclock.tracing.forward import Forward as ModelForward
from opclock.tracing.forward import Reset, prepared
from opclock.tracing.model_inputs import arguments_of
from opclock.tracing.specs import flat_tensors
from opclock.tracing.trace import Step

WARM_UP_RUNS = 3
BLOCK_S = 0.04  # of runs in a row: long enough that the cold start of the first one no longer matters
MAX_RUNS = 20
MIN_RUNS = 2


@dataclass(frozen=True)
class Reference:
    """Samples of whole inferences in two independent halves, whose blocks alternate.

    Where several processes took turns, each has both halves.

    Attributes:
        first: seconds of each run of the first half; runs that other programs disturbed are left out.
        repeat: the same for the second half, which repeats the measurement.
        first_blocks: for each run of the first half the number of its block. A block's runs were made in a row.
        repeat_blocks: the same for the second half.
        disturbed: the number of runs that were left out.
        contended: whether so many were disturbed that the least disturbed ones are among the samples.
        first_processes: for each run of the first half its process, from 1; None where one process took all.
        repeat_processes: the same for the second half.
    """

    first: Samples
    repeat: Samples
    first_blocks: npt.NDArray[np.int_] | None = None
    repeat_blocks: npt.NDArray[np.int_] | None = None
    disturbed: int = 0
    contended: bool = False
    first_processes: Processes | None = None
    repeat_processes: Processes | None = None

    @staticmethod
    def of(first: Runs, second: Runs) -> Reference:
        """The reference from the runs of both halves."""
        return Reference(
            first.seconds,
            second.seconds,
            first.blocks,
            second.blocks,
            first.disturbed + second.disturbed,
            first.contended or second.contended,
        )

    @staticmethod
    def joined(parts: Sequence[Reference]) -> Reference:
        """The reference of several processes that took turns, from that of each."""
        if len(parts) == 1:
            return parts[0]
        numbers = range(1, len(parts) + 1)
        return Reference(
            np.concatenate([one.first for one in parts]),
            np.concatenate([one.repeat for one in parts]),
            np.concatenate([one.first_blocks for one in parts if one.first_blocks is not None]),
            np.concatenate([one.repeat_blocks for one in parts if one.repeat_blocks is not None]),
            sum(one.disturbed for one in parts),
            any(one.contended for one in parts),
            np.repeat(numbers, [one.first.size for one in parts]),
            np.repeat(numbers, [one.repeat.size for one in parts]),
        )

    @cached_property
    def samples(self) -> Samples:
        """Seconds of each run of both halves, in the order of the blocks where it is known."""
        every = np.concatenate([self.first, self.repeat])
        return every if self._order is None else every[self._order]

    @cached_property
    def blocks(self) -> npt.NDArray[np.int_] | None:
        """The number of the block of each of the samples. Blocks of equal number are neighbours in time."""
        if self.first_blocks is None or self.repeat_blocks is None:
            return None
        return np.concatenate([self.first_blocks, self.repeat_blocks])[self._order]

    @cached_property
    def processes(self) -> Processes | None:
        """The number of the process of each of the samples, from 1; None where one process took all."""
        if self.first_processes is None or self.repeat_processes is None:
            return None
        every = np.concatenate([self.first_processes, self.repeat_processes])
        return every if self._order is None else every[self._order]

    @cached_property
    def _order(self) -> npt.NDArray[np.int_] | None:
        if self.first_blocks is None or self.repeat_blocks is None:
            return None
        return np.argsort(np.concatenate([self.first_blocks, self.repeat_blocks]), kind="stable")

    @cached_property
    def median_s(self) -> float:
        """The median of the samples, in seconds; of several processes, the mean of their medians."""
        return float(middle(self.samples, self.processes))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """The 95 % interval of the median, in seconds."""
        return middle_interval(self.samples, blocks=self.blocks, processes=self.processes)

    @property
    def repeat_error(self) -> float:
        """Median of the second half / median of the first - 1. No estimate can be expected to be more accurate."""
        return float(middle(self.repeat, self.repeat_processes) / middle(self.first, self.first_processes)) - 1.0

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as in a validation's row."""
        low, high = self.interval_s
        return {
            "median_s": self.median_s,
            "ci_low_s": low,
            "ci_high_s": high,
            "samples": len(self.samples),
            "repeat_error": self.repeat_error,
            "disturbed": self.disturbed,
            "contended": self.contended,
        }

    def samples_to_json(self) -> dict[str, Any]:
        """All samples of one process as JSON-ready data, for another process."""
        arrays = {name: vars(self)[name] for name in ("first", "repeat", "first_blocks", "repeat_blocks")}
        lists = {name: None if array is None else array.tolist() for name, array in arrays.items()}
        return {**lists, "disturbed": self.disturbed, "contended": self.contended}

    @staticmethod
    def from_samples(data: dict[str, Any]) -> Reference:
        """The inverse of samples_to_json."""
        names = ("first", "repeat", "first_blocks", "repeat_blocks")
        arrays = {name: None if data[name] is None else np.array(data[name]) for name in names}
        return Reference(**{**data, **arrays})


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
        contention = Contention()
        self._halves = (Runs(contention), Runs(contention))
        if isinstance(forward, ModelForward):
            forward.check_values()
        with model_errors(f"on real data, {name}"):
            warm_up = [self._once() for _ in range(WARM_UP_RUNS)]
        self.runs = runs_in_block(min(warm_up))

    def _once(self) -> float:
        with prepared(self._forward):
            wait_for(self._device)
            start = time.perf_counter()
            self._forward()
            wait_for(self._device)
            return time.perf_counter() - start

    def block(self, half: int) -> float:
        """Run one block for a half (0 or 1). Its first run is not kept. Returns the wall seconds it took.

        Raises ModelError where the model raises.
        """
        start = time.perf_counter()
        with model_errors(f"in a later run, {self._name}"):
            self._halves[half].block(self._once, self.runs, self._once)
        return time.perf_counter() - start

    @property
    def clean_runs(self) -> int:
        """The number of runs, in the half with fewer of them, that no other program disturbed."""
        return min(half.clean for half in self._halves)

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
