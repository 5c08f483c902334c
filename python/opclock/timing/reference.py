"""Real inference, timed as a user runs it: eager PyTorch under inference_mode, from an idle device to an idle one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from opclock.board.accelerator import wait_for
from opclock.errors import ModelError, first_line
from opclock.profiles.statistics import Samples, median_interval
from opclock.timing.host_playback import Forward
from opclock.tracing.specs import Inputs, flat_tensors

WARM_UP_RUNS = 3
BLOCK_S = 0.04  # runs in a row: long enough that the first one's cold start is left behind
MAX_RUNS = 20
MIN_RUNS = 2


@dataclass(frozen=True)
class Reference:
    """Samples of whole inferences in two independent halves, whose blocks were interleaved.

    Attributes:
        samples: the first half's, seconds a run.
        repeat: the second half's.
    """

    samples: Samples
    repeat: Samples

    @cached_property
    def median_s(self) -> float:
        """Of both halves together."""
        return float(np.median(self._all))

    @cached_property
    def interval_s(self) -> tuple[float, float]:
        """95 % interval of the median."""
        return median_interval(self._all)

    @property
    def repeat_error(self) -> float:
        """The second half's median / the first's - 1: no estimate can be expected to be closer."""
        return float(np.median(self.repeat) / np.median(self.samples)) - 1.0

    @property
    def _all(self) -> Samples:
        return np.concatenate([self.samples, self.repeat])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, as it stands in a validation's row."""
        low, high = self.interval_s
        return {
            "median_s": self.median_s,
            "ci_low_s": low,
            "ci_high_s": high,
            "samples": len(self._all),
            "repeat_error": self.repeat_error,
        }


def forward_of(model: torch.nn.Module, inputs: Inputs) -> Forward:
    """A call of the model on its inputs."""
    if isinstance(inputs, dict):
        return lambda: model(**inputs)
    return lambda: model(*inputs)


def runs_in_block(latency_s: float) -> int:
    """How many runs of this length make a block, of the real model and of rounds alike."""
    return max(MIN_RUNS, min(MAX_RUNS, int(BLOCK_S / max(latency_s, 1e-6))))


class ReferenceRun:
    """Takes reference samples block by block, so that something else can be timed in between."""

    def __init__(self, forward: Forward, name: str = "the model", device: str = "cpu") -> None:
        """Run the model a few times. Raises ModelError, which names the model, where it raises."""
        self._forward = forward
        self._device = device
        self._halves: tuple[list[float], list[float]] = ([], [])
        try:
            warm_up = [self._once() for _ in range(WARM_UP_RUNS)]
        except Exception as error:
            raise ModelError(f"{name} raised on real data: {type(error).__name__}: {first_line(error)}") from error
        self.runs = runs_in_block(min(warm_up))

    def _once(self) -> float:
        with torch.inference_mode():
            wait_for(self._device)
            start = time.perf_counter()
            self._forward()
            wait_for(self._device)
            return time.perf_counter() - start

    def block(self, half: int) -> float:
        """One block for a half (0 or 1); its first run is not kept. Returns the wall seconds it took."""
        start = time.perf_counter()
        self._once()
        self._halves[half].extend(self._once() for _ in range(self.runs))
        return time.perf_counter() - start

    def reference(self) -> Reference:
        """All samples so far."""
        return Reference(np.array(self._halves[0]), np.array(self._halves[1]))


def reference(model: torch.nn.Module, inputs: Inputs, *, blocks: int = 10) -> Reference:
    """Time real inference: warm-up, then blocks of runs for two halves in turn.

    Args:
        model: in eager mode, on the device of its inputs.
        inputs: positional ones as a tuple, or by name.
        blocks: of each half; a block takes about 40 ms, and at least two runs.

    Returns:
        Seconds of every run that was kept.

    Raises:
        ModelError: the model raises.
    """
    tensors = flat_tensors(inputs)
    run = ReferenceRun(forward_of(model, inputs), type(model).__name__, str(tensors[0].device) if tensors else "cpu")
    for _ in range(blocks):
        run.block(0)
        run.block(1)
    return run.reference()
