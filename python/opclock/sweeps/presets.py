"""Presets of sweeps: one for a quick look at a board, and one that predictors learn from."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from opclock.errors import SweepError
from opclock.sweeps.binding import Planned, is_weight, plan, plan_all
from opclock.sweeps.configuration import configuration, grid
from opclock.sweeps.families import FAMILIES, IllegalError
from opclock.sweeps.random_kernels import BOARD
from opclock.sweeps.random_narrow_kernels import NARROW
from opclock.tracing.macs import macs

MAX_MACS = 4e8  # of one kernel: a small board takes a fifth of a second for it
MAX_NARROW_MACS = 5e7  # in bfloat16, which boards without instructions for it multiply ten times slower
MAX_WEIGHT_BYTES = 1 << 26  # of a kernel's weights: a pool of them fits into a small board's memory
MAX_BYTES = 1 << 23  # of a kernel's largest tensor: above it, new memory for outputs takes longer than the kernel
SEED = 20260102  # for drawing points: every board gets the same ones
NETWORKS = 264  # random networks that are timed between the kernels of the preset for predictors
USUAL_MINUTES = 7.0  # that the preset for predictors takes on two cores, about
MAX_REFUSED = 1000  # draws in a row that give no new point; so many end a family that this PyTorch cannot plan

QUICK: dict[str, list[dict[str, Any]]] = {
    "conv2d": [{"in_channels": [32, 128], "out_channels": [32, 128], "size": [14, 56], "kernel": [1, 3]},
               {"in_channels": [32, 128], "out_channels": [32, 128], "size": [14, 56], "groups": "depthwise"}],
    "gemm": [{"m": [1, 64, 512], "n": [64, 512], "k": [64, 512], "operator": ["linear", "mm"]}],
    "elementwise": [{"channels": [64], "size": [7, 28, 112],
                     "operator": ["add", "mul", "relu", "sigmoid", "silu", "gelu", "hardswish"],
                     "layout": ["contiguous", "broadcast", "in_place"]}],
    "norm": [{"channels": [64, 256], "size": [7, 28], "operator": ["batch_norm", "layer_norm", "softmax"]}],
    "concat": [{"channels": [32, 128], "size": [7, 28], "operator": ["cat", "stack", "split"],
                "layout": ["contiguous", "strided"]}],
    "copy": [{"rows": [64, 512], "columns": [64, 512], "kind": ["clone", "transpose", "cast", "memcpy"]},
             {"rows": [16, 64], "columns": [28, 56], "kind": "channels_last"}],
    "pool": [{"channels": [64], "size": [14, 56], "operator": ["max", "avg", "adaptive"]}],
    "resize": [{"channels": [64], "size": [14, 28], "mode": ["nearest", "bilinear", "bicubic"]}],
}  # fmt: skip


def quick() -> tuple[list[Planned], Counter[str]]:
    """A few points of every family in the studies, and by reason how many PyTorch refuses."""
    points = [one for name, grids in QUICK.items() for parameters in grids for one in grid(name, parameters)[0]]
    return plan_all(points)


def board(amount: float = 1.0) -> tuple[list[Planned], Counter[str]]:
    """Plan the kernels that predictors learn from, the same on every board.

    Args:
        amount: how many of each family, as a multiple of the numbers in ``BOARD`` and ``NARROW``. A smaller amount is
            a part of a larger one.

    Returns:
        The kernels, and by reason how many cannot be planned.
    """
    points: dict[str, Planned] = {}
    missing: Counter[str] = Counter()
    for name, (count, draw) in (BOARD | NARROW).items():
        random_ = random.Random(f"{SEED} {name}")
        wanted, refused, reason = len(points) + math.ceil(amount * count), 0, "all draws are known or too large"
        while len(points) < wanted and refused < MAX_REFUSED:
            refused += 1
            try:
                kernel = plan(configuration(FAMILIES[name.partition("/")[0]], draw(random_)))
            except IllegalError as error:
                reason = str(error)
                continue
            if _small(kernel) and kernel.call.key not in points:
                points[kernel.call.key] = kernel
                refused = 0
        if len(points) < wanted:
            missing[f"{name}: {reason}"] += wanted - len(points)
    return list(points.values()), missing


def _small(kernel: Planned) -> bool:
    """Whether a small board has time and memory for a sample of this kernel."""
    specs = kernel.call.tensors()
    weights = sum(spec.nbytes for spec in specs if is_weight(spec))
    largest = max([kernel.fresh, *(spec.nbytes for spec in specs if not is_weight(spec))])
    max_macs = MAX_NARROW_MACS if any(spec.dtype == "bfloat16" for spec in specs) else MAX_MACS
    return weights <= MAX_WEIGHT_BYTES and largest <= MAX_BYTES and macs(kernel.traced) <= max_macs


PRESETS: dict[str, Callable[[], tuple[list[Planned], Counter[str]]]] = {"quick": quick, "board": board}


def preset(name: str, device: str = "cpu") -> tuple[list[Planned], Counter[str]]:
    """Plan the kernels of a preset.

    Args:
        name: "quick" or "board".
        device: such as "cpu" or "cuda:0".

    Returns:
        The kernels, and by reason how many of the preset cannot be planned here.

    Raises:
        SweepError: there is no such preset, it is only for the CPU, or nothing of it can be planned.
    """
    if name not in PRESETS:
        raise SweepError(f"there is no preset '{name}'; there are: {', '.join(PRESETS)}")
    if device != "cpu" and name == "board":
        raise SweepError("--preset board is for predictions, which exist for the CPU only: use --preset quick, or "
                         "'opclock measure' with the model itself")  # fmt: skip
    planned, missing = PRESETS[name]()
    if device != "cpu":
        planned, refused = plan_all([one.configuration for one in planned], device)
        missing += refused
    if not planned:
        raise SweepError(f"no kernel of the preset '{name}' can be planned: {next(iter(missing))}")
    return planned, missing
