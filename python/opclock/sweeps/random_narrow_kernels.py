"""Kernels of narrow types and of language models, drawn at random as those of ``BOARD``: bfloat16, int8, experts."""

from __future__ import annotations

import math
import random
from typing import Any

from opclock.sweeps.random_kernels import BOARD, Draw
from opclock.sweeps.random_sizes import draw_channels, draw_int, draw_related, draw_tokens

# By name in BOARD: the fraction that is drawn again in bfloat16, larger for what language models consist of.
IN_BFLOAT16 = {
    "conv2d": 0.3, "gemm": 0.6, "gemm/few rows": 0.6, "attention": 0.6, "decode_attention": 0.6, "elementwise": 0.5,
    "norm": 0.5, "concat": 0.5, "copy": 0.5, "index": 0.5, "reduce": 0.4,
}  # fmt: skip


def _in_bfloat16(draw: Draw) -> Draw:
    return lambda random_: {**draw(random_), "dtype": "bfloat16"}


def _int8_gemm(random_: random.Random) -> dict[str, Any]:
    """Draw a product with int8 weights, mostly of one token or of a few."""
    inner = draw_channels(64, 4096, random_)
    few = random_.random() < 0.6
    return {"m": random_.choice((1, 1, 1, 2, 4, 8)) if few else draw_tokens(256, random_), "k": inner,
            "n": draw_related(inner, 8192, random_), "operator": random_.choice(("weight_only", "int_mm")),
            "dtype": random_.choice(("float32", "bfloat16"))}  # fmt: skip


def _int8_weights(random_: random.Random) -> dict[str, Any]:
    """Draw weights that are converted before a product."""
    inner = draw_channels(64, 4096, random_)
    return {"rows": draw_related(inner, 8192, random_), "columns": inner, "kind": "cast_turned",
            "dtype": "int8"}  # fmt: skip


def _grouped_gemm(random_: random.Random) -> dict[str, Any]:
    """Draw the products of a mixture of experts: one token or a prompt, times the experts that each token goes to."""
    inner, chosen = draw_channels(64, 2048, random_), random_.choice((1, 2, 4, 8))
    tokens = 1 if random_.random() < 0.5 else draw_int(2, 128, random_)
    return {"tokens": tokens * chosen, "k": inner, "n": draw_related(inner, 2048, random_),
            "experts": random_.choice((4, 8, 16, 32, 64)),
            "dtype": random_.choice(("float32", "bfloat16"))}  # fmt: skip


# By family, perhaps with words behind a slash: the number of points, and the function that draws one.
NARROW: dict[str, tuple[int, Draw]] = {
    **{f"{name}/bfloat16": (math.ceil(share * BOARD[name][0]), _in_bfloat16(BOARD[name][1]))
       for name, share in IN_BFLOAT16.items()},
    "int8_gemm": (80, _int8_gemm),
    "copy/int8": (40, _int8_weights),
    "grouped_gemm": (60, _grouped_gemm),
}  # fmt: skip
