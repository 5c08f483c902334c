"""Control workloads whose data come from far memory.

A large model finds its weights where the inference before left them: beyond the caches of a core. How fast they come
from there changes with what neighbours on a shared machine do, and with the memory's clock on a board. So each workload
runs twice, all of them in turn, and the second run is timed: its data were read some 30 ms before, others in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch.nn import functional

from opclock.board.contention import Contention
from opclock.profiles.disturbance import disturbed
from opclock.profiles.machine_state import FAR_BYTES
from opclock.profiles.pool import FAR
from opclock.profiles.watch import Watch

SIDE = 2048  # of a square matrix
CONVOLUTIONS = 8  # with weights of their own


@cache
def far_workloads() -> dict[str, Callable[[], object]]:
    """The workloads, by name: reading weights, copying, convolutions, which first copy their weights into blocks."""
    generator = torch.Generator().manual_seed(1)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    matrices, vector = [tensor(SIDE, SIDE) for _ in range(FAR_BYTES // (4 * SIDE * SIDE))], tensor(SIDE)
    source, target = tensor(1 << 22), torch.empty(1 << 22)
    image, filters = tensor(1, 128, 8, 8), [tensor(128, 128, 3, 3) for _ in range(CONVOLUTIONS)]
    return {
        FAR + "weights": lambda: [torch.mv(matrix, vector) for matrix in matrices],
        FAR + "copy": lambda: target.copy_(source),
        FAR + "convolutions": lambda: [functional.conv2d(image, weight, padding=1) for weight in filters],
    }


@torch.inference_mode()
def sample_far_workloads(contention: Contention) -> dict[str, float]:
    """Run them on the host, with PyTorch's current number of threads.

    Args:
        contention: reads the counters of this process.

    Returns:
        By name: the seconds of a run. Those that other programs disturbed are left out.
    """
    for run in far_workloads().values():
        run()
    seconds: dict[str, float] = {}
    for name, run in far_workloads().items():
        watch = Watch(contention, 1)
        start_s = time.perf_counter()
        run()
        run_s = time.perf_counter() - start_s
        watch.rounds_ended()
        if not disturbed(watch.block_ended()).any():
            seconds[name] = run_s
    return seconds
