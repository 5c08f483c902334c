"""XNNPACK's own names of operators, which LiteRT and ExecuTorch report for what they leave to it."""

from __future__ import annotations

from opclock.runtimes.runtime import OperatorTime

MAC_KINDS = ("Convolution", "Deconvolution", "Fully Connected", "Dynamic Fully Connected", "Batch Matrix Multiply",
             "Scaled Dot-Product Attention")  # fmt: skip


def operator_time(name: str, seconds: float) -> OperatorTime:
    """The time of an operator that XNNPACK ran.

    Args:
        name: as XNNPACK gives it, with layout, dtype and kernel: "Convolution (NHWC, F32) IGEMM".
        seconds: of one inference.
    """
    kind = name.partition(" (")[0]
    return OperatorTime(name, kind, seconds, kind in MAC_KINDS, delegated=True)
