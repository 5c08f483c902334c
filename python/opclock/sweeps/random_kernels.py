"""Kernels drawn at random, for predictors to learn from: by family how many, and the function that draws one.

The points are random, because a grid over a dozen parameters has too many points or too few values of each.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from opclock.sweeps.random_sizes import (
    draw_batch,
    draw_channels,
    draw_depth,
    draw_image,
    draw_int,
    draw_related,
    draw_rows,
    draw_side,
    draw_tokens,
)

Draw = Callable[[random.Random], dict[str, Any]]

VIEWS = ("view", "reshape", "flatten", "transpose", "permute", "unsqueeze", "squeeze", "slice", "select", "chunk",
         "split", "expand", "dropout", "detach")  # fmt: skip


def _convolution(random_: random.Random) -> dict[str, Any]:
    kind = random_.choices(("pointwise", "dense", "depthwise", "grouped", "wide", "first"),
                           (0.34, 0.28, 0.18, 0.06, 0.08, 0.06))[0]  # fmt: skip
    side = draw_side(random_)
    inner = draw_depth(side, 8, 2048, random_)
    drawn: dict[str, Any] = {
        "in_channels": inner,
        "out_channels": draw_related(inner, 2048, random_),
        "size": side,
        "kernel": 1 if kind == "pointwise" else 3,
        "stride": random_.choices((1, 2), (0.8, 0.2))[0],
        "bias": random_.random() < 0.35,
        "batch": draw_batch(random_),
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
                  "out_channels": draw_channels(8, 96, random_), "size": draw_int(24, 256, random_)}  # fmt: skip
        if random_.random() < 0.3:
            patch = random_.choice((2, 4, 8, 16))
            drawn |= {"kernel": patch, "stride": patch, "padding": 0, "out_channels": draw_channels(64, 768, random_)}
    return drawn


def _gemm(random_: random.Random) -> dict[str, Any]:
    kind = random_.choices(("layer", "classifier", "mm", "addmm", "scores"), (0.6, 0.12, 0.04, 0.09, 0.15))[0]
    if kind == "scores":  # of attention as separate operators, and the product with its values
        tokens, width = draw_tokens(400, random_), random_.choice((16, 32, 48, 64))
        n, k, transpose = random_.choice(((tokens, width, "b"), (tokens, width, ""), (width, tokens, "")))
        return {"m": tokens, "n": n, "k": k, "batch": draw_int(2, 48, random_), "transpose": transpose,
                "operator": random_.choice(("bmm", "matmul"))}  # fmt: skip
    drawn: dict[str, Any] = {"bias": random_.random() < 0.7}
    if kind == "classifier":  # one row for each image: every weight is used for one or a few multiplications
        return drawn | {"m": random_.choice((1, 1, 1, 2, 4, 8)), "k": draw_channels(256, 9216, random_),
                        "n": random_.choice((10, 100, 1000, 4096, draw_channels(256, 4096, random_)))}  # fmt: skip
    inner = draw_channels(16, 4096, random_)
    return drawn | {"m": 1 if random_.random() < 0.1 else draw_tokens(1024, random_), "k": inner,
                    "n": draw_related(inner, 4096, random_),
                    "operator": "linear" if kind == "layer" else kind}  # fmt: skip


def _few_rows(random_: random.Random) -> dict[str, Any]:
    """Draw a product of one token, or of a few: each weight is read for one or a few multiplications."""
    inner = draw_channels(256, 8192, random_)
    wide = random_.choice((inner, round(inner * 8 / 3), 4 * inner, inner // 4, draw_channels(256, 65536, random_)))
    return {"m": random_.choice((1, 1, 1, 2, 4, 8)), "n": wide, "k": inner, "bias": random_.random() < 0.3,
            "dtype": random_.choice(("float32", "float32", "bfloat16"))}  # fmt: skip


def _decode_attention(random_: random.Random) -> dict[str, Any]:
    heads, masked = random_.choice((4, 6, 8, 9, 12, 16, 32)), random_.random() < 0.3
    groups = random_.choice((1, 1, 2, 3, 4, 8))
    kv_heads = heads // groups if heads % groups == 0 and groups > 1 and not masked else 0
    return {"heads": heads, "kv_heads": kv_heads, "keys": draw_int(4, 4096, random_), "batch": draw_batch(random_),
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
    drawn = {**draw_image(random_), "operator": operator, "layout": random_.choice(layouts)}
    if drawn["layout"] not in ("channels_last", "strided") and random_.random() < 0.3:
        drawn |= {"size": 0, "batch": draw_int(1, 1024, random_)}
    return drawn


def _norm(random_: random.Random) -> dict[str, Any]:
    operator = random_.choices(("batch_norm", "layer_norm", "softmax", "group_norm"), (0.45, 0.3, 0.2, 0.05))[0]
    if operator in ("layer_norm", "softmax"):
        return {"operator": operator, "channels": draw_channels(8, 2048, random_),
                "size": draw_int(1, 2048, random_), "batch": draw_batch(random_)}  # fmt: skip
    return {**draw_image(random_), "operator": operator}


def _concat(random_: random.Random) -> dict[str, Any]:
    return {**draw_image(random_, 4, 512), "inputs": random_.randint(2, 5), "layout": random_.choice(
        ("contiguous", "contiguous", "strided")), "operator": random_.choices(
        ("cat", "stack", "split"), (0.7, 0.2, 0.1))[0], "axis": random_.choices((1, 0), (0.85, 0.15))[0]}  # fmt: skip


def _copy(random_: random.Random) -> dict[str, Any]:
    kind = random_.choice(("clone", "transpose", "heads", "shuffle", "cast", "channels_last", "memcpy"))
    if kind == "channels_last":
        return {"rows": draw_channels(4, 512, random_), "columns": draw_int(2, 112, random_), "kind": kind}
    return {**draw_rows(random_), "kind": kind}


def _pool(random_: random.Random) -> dict[str, Any]:
    operator = random_.choice(("max", "avg", "adaptive"))
    kernel, stride, padding = random_.choice(((2, 2, 0), (3, 2, 1), (3, 1, 1), (3, 2, 0), (5, 1, 2)))
    if operator == "adaptive":
        kernel, stride, padding = random_.choice((1, 1, 1, 2, 4)), 1, 0
    return {**draw_image(random_), "operator": operator, "kernel": kernel, "stride": stride, "padding": padding}


def _view(random_: random.Random) -> dict[str, Any]:
    return {**draw_rows(random_), "operator": random_.choice(VIEWS)}


# By family, perhaps with a word behind a slash: the number of points, and the function that draws one. Few are enough
# beside the random networks: ten times as many changed no error.
BOARD: dict[str, tuple[int, Draw]] = {
    "conv2d": (60, _convolution),
    "gemm": (80, _gemm),
    "attention": (30, lambda random_: {"heads": random_.choice((2, 3, 4, 6, 8, 12)),
                                       "queries": draw_int(4, 800, random_), "width": random_.choice((16, 32, 48, 64)),
                                       "batch": draw_batch(random_), "causal": random_.random() < 0.2}),
    "elementwise": (50, _elementwise),
    "norm": (30, _norm),
    "concat": (25, _concat),
    "pad": (20, lambda random_: {**draw_image(random_, 4, 512), "around": random_.randint(1, 3)}),
    "copy": (40, _copy),
    "pool": (30, _pool),
    "resize": (40, lambda random_: {**draw_image(random_, 4, 512), "mode": random_.choice(
        ("nearest", "bilinear", "bilinear", "bicubic")), "scale": random_.choice((2, 2, 4, 8))}),
    "reduce": (50, lambda random_: {**draw_rows(random_), "operator": random_.choice(("mean", "mean", "sum", "amax")),
                                    "axis": random_.choice((-1, 1))}),
    "index": (30, lambda random_: {"rows": draw_int(16, 32768, random_), "columns": draw_channels(16, 1024, random_),
                                   "picks": draw_int(4, 1024, random_),
                                   "operator": random_.choice(("embedding", "embedding", "index_select"))}),
    "recurrent": (60, lambda random_: {"steps": draw_int(4, 64, random_), "width": draw_channels(16, 512, random_),
                                       "hidden": draw_channels(16, 512, random_), "layers": random_.choice((1, 2)),
                                       "batch": draw_batch(random_), "operator": random_.choice(("lstm", "gru"))}),
    "view": (40, _view),
    "conv1d": (60, lambda random_: {"in_channels": draw_channels(1, 512, random_), "batch": draw_batch(random_),
                                    "out_channels": draw_channels(16, 512, random_),
                                    "length": draw_int(16, 8000, random_), "kernel": random_.choice((1, 2, 3, 3, 10)),
                                    "stride": random_.choice((1, 2, 5))}),
    "gemm/few rows": (80, _few_rows),
    "decode_attention": (50, _decode_attention),
    "conv_transpose2d": (40, lambda random_: {"in_channels": draw_channels(8, 512, random_), "kernel": random_.choice(
        (2, 4)), "out_channels": draw_channels(8, 256, random_), "size": draw_int(2, 64, random_),
        "batch": draw_batch(random_)}),
}  # fmt: skip
