"""Reads logs of TFLite's benchmark_model with --enable_op_profiling=true, of any board: a file a model.

A log names each node's operator and its mean time, but no shape: the sum of the nodes can be held against the whole
model, and nothing can be learnt about kernels.
"""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.published.models import Device, PublishedDataError, PublishedModel, TimedCall
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import TracedCall

BEGIN = "Operator-wise Profiling Info for Regular Benchmark Runs:"
ORDER, BY_TIME = "= Run Order =", "= Top by Computation Time ="
WHOLE = re.compile(r"Inference \(avg\): ([\d.e+]+)")
# An operator with spaces, the time since the start in older versions, the first time, the mean time, and two shares.
NODE = re.compile(r"^\s*(?P<operator>\S.*?)\s+(?:[\d.]+\s+)?[\d.]+\s+(?P<mean_ms>[\d.]+)\s+[\d.]+%\s+[\d.]+%")


def recognises(path: Path) -> bool:
    """Whether this is such a log by its name."""
    return path.suffix in (".log", ".txt")


def read(path: Path) -> list[Device]:
    """Read one log.

    Args:
        path: what benchmark_model wrote. Its folder's name stands for the device, its own for the model.

    Returns:
        One device with one model.

    Raises:
        PublishedDataError: there is no profile of the regular runs in it, or no time of the whole model.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    profile = text.partition(BEGIN)[2].partition(ORDER)[2].partition(BY_TIME)[0]
    whole = WHOLE.search(text)
    nodes = [found for line in profile.splitlines() if (found := NODE.match(line))]
    if not nodes or whole is None:
        raise PublishedDataError(f"{path}: no {BEGIN!r} with 'Inference (avg)'; run benchmark_model with "
                                 "--enable_op_profiling=true")  # fmt: skip
    calls = tuple(
        TimedCall(
            TracedCall(OpCall(f"tflite::{node['operator']}", "", ()), (), (), (0,)), float(node["mean_ms"]) * 1e-3
        )
        for node in nodes
    )
    return [Device(f"tflite {path.resolve().parent.name}", (PublishedModel(path.stem, calls, float(whole[1]) * 1e-6),))]


def _traced(operator: str) -> TracedCall:
    return TracedCall(OpCall(f"tflite::{operator}", "", ()), (), (), (0,))
