"""Presets of sweeps: one for a quick look at a board, and one that predictors learn from.

The points for predictors are random, because a grid over a dozen parameters has too many points or too few values of
each. Sizes are drawn with uniformly distributed logarithms, from a hundred elements to ten million.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from opclock.errors import SweepError
from opclock.sweeps.binding import Planned, plan, plan_all
from opclock.sweeps.configuration import configuration, grid
from opclock.sweeps.families import FAMILIES, IllegalError
from opclock.tracing.macs import macs

MAX_MACS = 4e8  # of one kernel: a small board takes a fifth of a second for it
MAX_WEIGHT_BYTES = 1 << 26  # of a kernel's weights: a pool of them fits into a small board's memory
MAX_BYTES = 1 << 23  # of a kernel's largest tensor: above it, new memory for outputs takes longer than the kernel
SEED = 20260102  # for drawing points: every board gets the same ones
USUAL_MINUTES = 2.5  # that the preset for predictors takes on two cores, about
MAX_REFUSED = 1000  # draws in a row that give no new point; so many end a family that this PyTorch cannot plan
STEPS = {64: 0.3, 32: 0.2, 16: 0.2, 8: 0.15, 4: 0.08, 1: 0.07}  # power of two that divides the channels: how often
SIDES = (1, 4, 7, 8, 14, 16, 28, 32, 56, 64, 112, 128)
TOKENS = (16, 49, 50, 64, 128, 196, 197, 256)

Draw = Callable[[random.Random], dict[str, Any]]

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


def _even(low: int, high: int, random_: random.Random) -> int:
    """Draw an integer with a uniformly distributed logarithm."""
    drawn: float = low * (high / low) ** random_.random()
    return round(drawn)


def _channels(low: int, high: int, random_: random.Random) -> int:
    """Draw channels as in networks: mostly multiples of a power of two, with larger powers for larger numbers."""
    count = _even(low, high, random_)
    fitting = {step: weight for step, weight in STEPS.items() if step <= max(1, count // 2)}
    step = random_.choices(list(fitting), list(fitting.values()))[0]
    return max(1, round(count / step) * step)


def _batch(random_: random.Random) -> int:
    return random_.choices((1, 2, 4, 8), (0.7, 0.1, 0.1, 0.1))[0]


def _side(random_: random.Random) -> int:
    """Draw the side of an image in pixels: mostly 224 or 256, halved several times."""
    return random_.choice(SIDES) if random_.random() < 0.6 else _even(1, 160, random_)


def _depth(side: int, low: int, high: int, random_: random.Random) -> int:
    """Draw channels for an image with this side: usually fewer for larger images, as in networks."""
    if random_.random() < 0.2:
        return _channels(low, high, random_)
    min_channels = low if side <= 4 else max(low, 200 // side)
    return _channels(min_channels, max(min_channels, min(high, max(64, 20_000 // side))), random_)


def _related(count: int, high: int, random_: random.Random) -> int:
    """Draw a layer's output channels: as many as its input channels, a multiple, or independent of them."""
    if random_.random() < 0.3:
        return _channels(8, high, random_)
    ratio = random_.choice((1, 1, 1, 2, 0.5, 3, 4, 0.25, 6, 1 / 6))
    return max(8, min(high, round(count * ratio / 8) * 8))


def _image(random_: random.Random, low: int = 8, high: int = 2048) -> dict[str, Any]:
    side = _side(random_)
    return {"channels": _depth(side, low, high, random_), "size": side, "batch": _batch(random_)}


def _tokens(high: int, random_: random.Random) -> int:
    """Draw the length of a sequence: as for square patches, as for text, or any number."""
    return random_.choice(TOKENS) if random_.random() < 0.4 else _even(1, high, random_)


def _rows(random_: random.Random) -> dict[str, Any]:
    return {"rows": _tokens(2048, random_), "columns": _channels(4, 2048, random_), "batch": _batch(random_)}


def _convolution(random_: random.Random) -> dict[str, Any]:
    kind = random_.choices(("pointwise", "dense", "depthwise", "grouped", "wide", "first"),
                           (0.34, 0.28, 0.18, 0.06, 0.08, 0.06))[0]  # fmt: skip
    side = _side(random_)
    inner = _depth(side, 8, 2048, random_)
    drawn: dict[str, Any] = {
        "in_channels": inner,
        "out_channels": _related(inner, 2048, random_),
        "size": side,
        "kernel": 1 if kind == "pointwise" else 3,
        "stride": random_.choices((1, 2), (0.8, 0.2))[0],
        "bias": random_.random() < 0.35,
        "batch": _batch(random_),
    }
    if kind == "depthwise":
        drawn |= {"out_channels": inner, "groups": "depthwise", "kernel": random_.choice((3, 3, 5, 7))}
    if kind == "grouped":
        groups = random_.choice((2, 3, 4, 8, 16, 32))
        drawn |= {name: max(1, drawn[name] // groups) * groups for name in ("in_channels", "out_channels")}
        drawn |= {"groups": groups, "kernel": random_.choice((1, 3))}
    if kind == "wide":
        drawn |= {"kernel": random_.choice((5, 7, 2, 4, (1, 7), (7, 1), (1, 3), (3, 1)))}
        drawn |= {"dilation": 2} if random_.random() < 0.2 else {}
        drawn |= {"padding": 0} if random_.random() < 0.3 else {}
    if kind == "first":
        drawn |= {"in_channels": random_.choice((1, 3, 3)), "kernel": random_.choice((3, 5, 7)),
                  "out_channels": _channels(8, 96, random_), "size": _even(24, 256, random_)}  # fmt: skip
        if random_.random() < 0.3:
            patch = random_.choice((2, 4, 8, 16))
            drawn |= {"kernel": patch, "stride": patch, "padding": 0, "out_channels": _channels(64, 768, random_)}
    return drawn


def _gemm(random_: random.Random) -> dict[str, Any]:
    kind = random_.choices(("layer", "classifier", "mm", "addmm", "scores"), (0.6, 0.12, 0.04, 0.09, 0.15))[0]
    if kind == "scores":  # of attention as separate operators, and the product with its values
        tokens, width = _tokens(400, random_), random_.choice((16, 32, 48, 64))
        n, k, transpose = random_.choice(((tokens, width, "b"), (tokens, width, ""), (width, tokens, "")))
        return {"m": tokens, "n": n, "k": k, "batch": _even(2, 48, random_), "transpose": transpose,
                "operator": random_.choice(("bmm", "matmul"))}  # fmt: skip
    drawn: dict[str, Any] = {"bias": random_.random() < 0.7}
    if kind == "classifier":  # one row for each image: every weight is used for one or a few multiplications
        return drawn | {"m": random_.choice((1, 1, 1, 2, 4, 8)), "k": _channels(256, 9216, random_),
                        "n": random_.choice((10, 100, 1000, 4096, _channels(256, 4096, random_)))}  # fmt: skip
    inner = _channels(16, 4096, random_)
    return drawn | {"m": 1 if random_.random() < 0.1 else _tokens(1024, random_), "k": inner,
                    "n": _related(inner, 4096, random_),
                    "operator": "linear" if kind == "layer" else kind}  # fmt: skip


def _few_rows(random_: random.Random) -> dict[str, Any]:
    """Draw a product of one token, or of a few: each weight is read for one or a few multiplications."""
    inner = _channels(256, 8192, random_)
    wide = random_.choice((inner, round(inner * 8 / 3), 4 * inner, inner // 4, _channels(256, 65536, random_)))
    return {"m": random_.choice((1, 1, 1, 2, 4, 8)), "n": wide, "k": inner, "bias": random_.random() < 0.3,
            "dtype": random_.choice(("float32", "float32", "bfloat16"))}  # fmt: skip


def _decode_attention(random_: random.Random) -> dict[str, Any]:
    heads, masked = random_.choice((4, 6, 8, 9, 12, 16, 32)), random_.random() < 0.3
    groups = random_.choice((1, 1, 2, 3, 4, 8))
    kv_heads = heads // groups if heads % groups == 0 and groups > 1 and not masked else 0
    return {"heads": heads, "kv_heads": kv_heads, "keys": _even(4, 4096, random_), "batch": _batch(random_),
            "queries": groups if masked else 1, "masked": masked, "width": random_.choice((32, 64, 64, 96, 128)),
            "dtype": random_.choice(("float32", "float32", "bfloat16"))}  # fmt: skip


def _elementwise(random_: random.Random) -> dict[str, Any]:
    operator = random_.choice(("add", "mul", "sub", "div", "relu", "relu", "hardtanh", "sigmoid", "silu", "gelu",
                               "hardswish", "hardsigmoid", "tanh", "exp", "sqrt", "pow", "rsqrt", "add",
                               "mul"))  # fmt: skip
    layouts: tuple[str, ...] = (
        "contiguous",
        "contiguous",
        "broadcast",
        "in_place",
        "strided",
        "channels_last",
        "scalar",
    )
    if operator not in ("add", "mul", "sub", "div"):
        layouts = ("contiguous", "contiguous", "in_place", "in_place", "strided", "channels_last")
    drawn = {**_image(random_), "operator": operator, "layout": random_.choice(layouts)}
    if drawn["layout"] not in ("channels_last", "strided") and random_.random() < 0.3:
        drawn |= {"size": 0, "batch": _even(1, 1024, random_)}
    return drawn


def _norm(random_: random.Random) -> dict[str, Any]:
    operator = random_.choices(("batch_norm", "layer_norm", "softmax", "group_norm"), (0.45, 0.3, 0.2, 0.05))[0]
    if operator in ("layer_norm", "softmax"):
        return {"operator": operator, "channels": _channels(8, 2048, random_), "size": _even(1, 2048, random_),
                "batch": _batch(random_)}  # fmt: skip
    return {**_image(random_), "operator": operator}


def _concat(random_: random.Random) -> dict[str, Any]:
    return {**_image(random_, 4, 512), "inputs": random_.randint(2, 5), "layout": random_.choice(
        ("contiguous", "contiguous", "strided")), "operator": random_.choices(
        ("cat", "stack", "split"), (0.7, 0.2, 0.1))[0], "axis": random_.choices((1, 0), (0.85, 0.15))[0]}  # fmt: skip


def _copy(random_: random.Random) -> dict[str, Any]:
    kind = random_.choice(("clone", "transpose", "heads", "shuffle", "cast", "channels_last", "memcpy"))
    if kind == "channels_last":
        return {"rows": _channels(4, 512, random_), "columns": _even(2, 112, random_), "kind": kind}
    return {**_rows(random_), "kind": kind}


def _pool(random_: random.Random) -> dict[str, Any]:
    operator = random_.choice(("max", "avg", "adaptive"))
    kernel, stride, padding = random_.choice(((2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 2, 0), (5, 1, 2)))
    if operator == "adaptive":
        kernel, stride, padding = random_.choice((1, 1, 1, 2, 4)), 1, 0
    return {**_image(random_), "operator": operator, "kernel": kernel, "stride": stride, "padding": padding}


def _view(random_: random.Random) -> dict[str, Any]:
    return {**_rows(random_), "operator": random_.choice(VIEWS)}


VIEWS = ("view", "reshape", "flatten", "transpose", "permute", "unsqueeze", "squeeze", "slice", "select", "chunk",
         "split", "expand", "dropout", "detach")  # fmt: skip

# By family, perhaps with a word behind a slash: the number of points, and the function that draws one.
BOARD: dict[str, tuple[int, Draw]] = {
    "conv2d": (1600, _convolution),
    "gemm": (900, _gemm),
    "attention": (120, lambda random_: {"heads": random_.choice((2, 3, 4, 6, 8, 12)), "queries": _even(4, 800, random_),
                                       "width": random_.choice((16, 32, 48, 64)), "batch": _batch(random_),
                                       "causal": random_.random() < 0.2}),
    "elementwise": (700, _elementwise),
    "norm": (500, _norm),
    "concat": (200, _concat),
    "pad": (30, lambda random_: {**_image(random_, 4, 512), "around": random_.randint(1, 3)}),
    "copy": (220, _copy),
    "pool": (200, _pool),
    "resize": (80, lambda random_: {**_image(random_, 4, 512), "mode": random_.choice(
        ("nearest", "bilinear", "bilinear", "bicubic")), "scale": random_.choice((2, 2, 4, 8))}),
    "reduce": (100, lambda random_: {**_rows(random_), "operator": random_.choice(("mean", "mean", "sum", "amax")),
                                    "axis": random_.choice((-1, 1))}),
    "index": (30, lambda random_: {"rows": _even(16, 32768, random_), "columns": _channels(16, 1024, random_),
                                   "picks": _even(4, 1024, random_),
                                   "operator": random_.choice(("embedding", "embedding", "index_select"))}),
    "recurrent": (80, lambda random_: {"steps": _even(4, 64, random_), "width": _channels(16, 512, random_),
                                       "hidden": _channels(16, 512, random_), "layers": random_.choice((1, 2)),
                                       "batch": _batch(random_), "operator": random_.choice(("lstm", "gru"))}),
    "view": (200, _view),
    "conv1d": (80, lambda random_: {"in_channels": _channels(1, 512, random_), "batch": _batch(random_),
                                    "out_channels": _channels(16, 512, random_), "length": _even(16, 8000, random_),
                                    "kernel": random_.choice((1, 2, 3, 3, 10)), "stride": random_.choice((1, 2, 5))}),
    "gemm/few rows": (200, _few_rows),
    "decode_attention": (100, _decode_attention),
    "conv_transpose2d": (40, lambda random_: {"in_channels": _channels(8, 512, random_), "kernel": random_.choice(
        (2, 4)), "out_channels": _channels(8, 256, random_), "size": _even(2, 64, random_),
        "batch": _batch(random_)}),
}  # fmt: skip


def board(amount: float = 1.0) -> tuple[list[Planned], Counter[str]]:
    """Plan the kernels that predictors learn from, the same on every board.

    Args:
        amount: how many of each family, as a multiple of the numbers in ``BOARD``. A smaller amount is a part of a
            larger one.

    Returns:
        The kernels, and by reason how many cannot be planned.
    """
    points: dict[str, Planned] = {}
    missing: Counter[str] = Counter()
    for name, (count, draw) in BOARD.items():
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
    weights = sum(spec.nbytes for spec in specs if spec.requires_grad)
    largest = max(kernel.fresh, *(spec.nbytes for spec in specs if not spec.requires_grad))
    return weights <= MAX_WEIGHT_BYTES and largest <= MAX_BYTES and macs(kernel.traced) <= MAX_MACS


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
