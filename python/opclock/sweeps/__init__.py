"""Kernel families, which make op calls from parameters. Importing this registers the built-in families."""

from opclock.sweeps import (
    concat,
    conv,
    copy,
    elementwise,
    gemm,
    index,
    narrow_gemm,
    pool,
    recurrent,
    reduce,
    resize,
    view,
)
from opclock.sweeps.families import FAMILIES, Family, family

__all__ = [
    "FAMILIES", "Family", "concat", "conv", "copy", "elementwise", "family", "gemm", "index", "narrow_gemm",
    "pool", "recurrent", "reduce", "resize", "view",
]  # fmt: skip
