"""Control workloads: small fixed kernels that show how fast the machine is just now.

They are sampled between blocks of rounds, never inside one. Two profiles that were taken at different minutes have them
in common, so ``opclock compare`` can tell the machine's difference from a kernel's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import torch
from torch.nn import functional

from opclock.board.contention import Contention
from opclock.profiles.disturbance import disturbed
from opclock.profiles.pool import FAULT
from opclock.profiles.watch import Watch
from opclock.timing.far_workloads import far_workloads, sample_far_workloads
from opclock.timing.own_weights import OwnWeights
from opclock.timing.page_faults import fault_s
from opclock.timing.watching import sample_watching, watched_models
from opclock.tracing.torch_state import torch_plain

REPEATS = 3  # timed runs of each, after one that is not; the median ignores one disturbed run
EVERY_S = 0.5  # at least so far apart
REST = 10  # and at least so many times as long as a sample takes: about 130 ms with one thread of an x86-64 machine
CURRENT_S = 1.0  # of sampling show the current state: about 15 samples

Workload = Callable[[], object]


@cache
def workloads() -> dict[str, Workload]:
    """The control workloads, by name. Their tensors are made once in a process.

    They are those whose speed followed that of models on a shared machine (``docs/method.md``): arithmetic from the
    caches, kernels that PyTorch writes itself, each cache level, and Python. Beside them, ``far_workloads.py`` has
    those from far memory, and small models show dispatch (``watching.py``). A chain of dependent integers sees the
    clock's rate alone; each round has one anyway.
    """
    generator = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    square, image = tensor(192, 192), tensor(1, 32, 56, 56)
    weight, depthwise, scale = tensor(32, 32, 3, 3), tensor(32, 1, 3, 3), tensor(32)
    source, target = tensor(1 << 20), torch.empty(1 << 20)
    first_level, second_level = tensor(1 << 12), tensor(1 << 16)
    return {
        "product": lambda: torch.mm(square, square),
        "convolution": lambda: functional.conv2d(image, weight, padding=1),
        "depthwise": lambda: functional.conv2d(image, depthwise, padding=1, groups=32),
        "batch_norm": lambda: functional.batch_norm(image, scale, scale, scale, scale),
        "relu_16kb": lambda: [torch.relu_(first_level) for _ in range(20)],
        "relu_256kb": lambda: [torch.relu_(second_level) for _ in range(4)],
        "copy_4mb": lambda: target.copy_(source),
        "python": lambda: sum(number & 7 for number in range(10_000)),
    }


def make_workloads() -> None:
    """Make the tensors of all control workloads, so that no sample's time holds that."""
    with torch_plain():
        workloads()
        far_workloads()


@torch.inference_mode()
def sample_controls(contention: Contention) -> dict[str, float]:
    """Run each control workload on the host, with PyTorch's current number of threads.

    Args:
        contention: reads the counters of this process.

    Returns:
        By name: the median seconds of a run; of a workload from far memory, those of one run. One with more than one
        disturbed run is left out.
    """
    far = sample_far_workloads(contention)
    medians = {name: _median_s(partial(_timed_s, run), contention) for name, run in workloads().items()}
    return far | {name: seconds for name, seconds in medians.items() if seconds is not None}


def _timed_s(run: Workload) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _median_s(run: Callable[[], float], contention: Contention) -> float | None:
    """The median of the clean repeats; None where other programs disturbed more than one of them."""
    run()  # brings its data into the caches, and wakes the threads
    seconds = np.empty(REPEATS)
    watch = Watch(contention, REPEATS)
    for number in range(REPEATS):
        seconds[number] = run()
        watch.rounds_ended()
    clean = seconds[~disturbed(watch.block_ended())]
    return float(np.median(clean)) if clean.size >= REPEATS - 1 else None


class Controls:
    """Says when control workloads are due for one pool, and samples them."""

    def __init__(
        self, contention: Contention, *, watching: int | None = None, weights: OwnWeights | None = None
    ) -> None:
        """Make what is sampled, so that no block's time holds that. The first sample is due at once.

        Args:
            contention: reads the counters of this process.
            watching: PyTorch's number of threads where what watching adds is sampled, too; None where it is not.
            weights: of the model whose op calls are timed, which are read as well; None: of none.
        """
        self._contention = contention
        self._watching = watching
        self._weights = weights if weights is not None and weights.known else None
        self._next = 0.0
        make_workloads()
        if watching is not None:
            watched_models(watching)

    def sample_if_due(self) -> dict[str, float]:
        """Sample the control workloads, unless the last sample is too young: then return nothing."""
        start_s = time.perf_counter()
        if start_s < self._next:
            return {}
        seconds = self.sample()
        end_s = time.perf_counter()
        self._next = end_s + max(EVERY_S, REST * (end_s - start_s))
        return seconds

    def sample(self) -> dict[str, float]:
        """Sample the control workloads. Returns their seconds by name, without those that were disturbed."""
        with torch_plain():
            seconds = sample_controls(self._contention)
            if self._weights is not None:
                seconds |= self._weights.sample(self._contention)
            if self._watching is not None:
                seconds |= sample_watching(self._watching, self._contention)
                fault = _median_s(fault_s, self._contention)
                seconds |= {} if fault is None else {FAULT: fault}
        return seconds
