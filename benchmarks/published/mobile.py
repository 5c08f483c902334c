"""Reads tables of mobile phones: a row an op call with its time on each device, and a row a model as a whole.

The format is that of github.com/qed-usc/mobile-ml-benchmark: X_ops_gpu.csv (or _cpu) and X_e2e.csv beside it, perhaps
compressed (.csv.gz). In the first are the columns model, operation, feature (a Python dictionary), and for each device
DEVICE|CORES|TYPE (microseconds) and DEVICE|CORES|kernel (the name of the kernel that ran). In the second are model,
FLOPs, and DEVICE|CORES|TYPE|mean (microseconds).
"""

from __future__ import annotations

import ast
import csv
import gzip
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.published.models import (
    Device,
    PublishedDataError,
    PublishedModel,
    TimedCall,
    convolution,
    linear,
    op_call,
    tensor,
)
from opclock.tracing.trace import TracedCall

OPS = re.compile(r"_ops_(?:gpu|cpu)(?:_quant)?(?=\.csv)")
Feature = Mapping[str, Any]


def _number(feature: Feature, name: str, default: int = 0) -> int:
    """A whole number that may stand there as text; "-" where it means nothing."""
    value = feature.get(name, default)
    return default if value == "-" else int(value)


def _square(feature: Feature, channels: str, size: str) -> tuple[int, int, int, int]:
    side = _number(feature, size, 1)
    return 1, _number(feature, channels, 1), side, side


def _tflite_convolution(feature: Feature) -> TracedCall:
    inner, outer = _number(feature, "Input_channel"), _number(feature, "Filter")
    return convolution(inner, _number(feature, "Input_shape"), outer, _number(feature, "Output_shape"),
                       kernel=_number(feature, "Kernel"), stride=_number(feature, "Stride"),
                       groups=_number(feature, "Group", 1))  # fmt: skip


def _tflite_depthwise(feature: Feature) -> TracedCall:
    inner = _number(feature, "Input_channel")
    return convolution(inner, _number(feature, "Input_shape"), inner * _number(feature, "Filter", 1),
                       _number(feature, "Output_shape"), kernel=_number(feature, "Kernel"),
                       stride=_number(feature, "Stride"), groups=inner)  # fmt: skip


def _tflite_pooling(operator: str) -> Callable[[Feature], TracedCall]:
    def made(feature: Feature) -> TracedCall:
        kernel, stride = _number(feature, "Kernel"), _number(feature, "Stride", 1)
        return op_call(operator, (tensor(*_square(feature, "Input_channel", "Input_shape")), (kernel, kernel),
                                  (stride, stride)),
                       tensor(*_square(feature, "Input_channel", "Output_shape")))  # fmt: skip

    return made


def _tflite_concatenation(feature: Feature) -> TracedCall:
    """Of the inputs only the first one's channels are published; the others share the rest."""
    count, total = _number(feature, "Kernel", 2), _number(feature, "Filter")
    first, size = _number(feature, "Input_channel"), _number(feature, "Input_shape", 1)
    rest = max(1, (total - first) // max(1, count - 1))
    parts = tuple(tensor(1, channels, size, size) for channels in (first, *[rest] * (count - 1)))
    return op_call("cat", (parts, 1), tensor(1, total, size, size))


def _tflite_mean(feature: Feature) -> TracedCall:
    image = _square(feature, "Input_channel", "Input_shape")
    return op_call("mean", (tensor(*image), (2, 3)), tensor(*image[:2]))


def _torch_convolution(feature: Feature) -> TracedCall:
    return convolution(feature["input_channel"], feature["input_shape"], feature["output_channel"],
                       feature["output_shape"], kernel=feature["kernel_size"], stride=feature["stride"],
                       groups=feature["groups"])  # fmt: skip


def _torch_pooling(operator: str) -> Callable[[Feature], TracedCall]:
    def made(feature: Feature) -> TracedCall:
        image = tensor(*_square(feature, "input_channel", "input_shape"))
        if "kernel_size" not in feature:
            return op_call(operator, (image, (1, 1)), tensor(1, feature["input_channel"], 1, 1))
        kernel, stride, padding = (_number(feature, name) for name in ("kernel_size", "stride", "padding"))
        return op_call(operator, (image, (kernel, kernel), (stride, stride), (padding, padding)),
                       tensor(*_square(feature, "input_channel", "output_shape")))  # fmt: skip

    return made


def _same_shape(operator: str, inputs: int = 1) -> Callable[[Feature], TracedCall]:
    def made(feature: Feature) -> TracedCall:
        image = tensor(*_square(feature, "input_channel", "input_shape"))
        return op_call(operator, (image,) * inputs, image)

    return made


OPERATIONS: dict[str, Callable[[Feature], TracedCall]] = {
    "CONV_2D": _tflite_convolution,
    "CONV_2D_GROUP": _tflite_convolution,
    "DEPTHWISE_CONV_2D": _tflite_depthwise,
    "FULLY_CONNECTED": lambda feature: linear(_number(feature, "Input_channel"), _number(feature, "Filter")),
    "AVERAGE_POOL_2D": _tflite_pooling("avg_pool2d"),
    "MAX_POOL_2D": _tflite_pooling("max_pool2d"),
    "CONCATENATION": _tflite_concatenation,
    "MEAN": _tflite_mean,
    "run_conv2d_context": _torch_convolution,
    "run_linear_context": lambda feature: linear(feature["input_shape"], feature["output_shape"]),
    "run_batchnorm_context": _same_shape("batch_norm"),
    "max_pool2d": _torch_pooling("max_pool2d"),
    "avg_pool2d": _torch_pooling("avg_pool2d"),
    "adaptive_avg_pool2d": _torch_pooling("adaptive_avg_pool2d"),
    "add": _same_shape("add", 2),
    "mul": _same_shape("mul", 2),
    **{name: _same_shape(name) for name in ("relu", "clamp", "hardswish", "sigmoid")},
}


def recognises(path: Path) -> bool:
    """Whether this is a table of op calls by its name."""
    return bool(OPS.search(path.name))


def read(path: Path) -> list[Device]:
    """Read a table of op calls and that of whole models beside it.

    Args:
        path: X_ops_gpu.csv, X_ops_cpu.csv or one of them compressed.

    Returns:
        The devices with both. A model of which a device lacks a time is left out there; an op call without a kernel
        is part of another one's.

    Raises:
        PublishedDataError: the second table is missing, or a row is in another format.
    """
    whole_path = path.with_name(OPS.sub("_e2e", path.name))
    whole = {row["model"]: row for row in _rows(whole_path)}
    rows = _rows(path)
    if not rows or not {"model", "operation", "feature"} <= set(rows[0]):
        raise PublishedDataError(f"{path}: its first line must name model, operation and feature")
    traced = [_traced(path, row) for row in rows]
    runtime = path.name.split("_")[0]
    columns = [name for name in rows[0] if name.count("|") == 2 and not name.endswith("|kernel")]
    devices = [
        Device(f"{runtime} {' '.join(column.split('|')[:2])}", _models(column, rows, traced, whole))
        for column in columns
    ]
    return [device for device in devices if device.models]


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PublishedDataError(f"{path}: {getattr(error, 'strerror', None) or error}; give X_ops_gpu.csv with "
                                 "X_e2e.csv beside it") from error  # fmt: skip


def _traced(path: Path, row: Mapping[str, str]) -> TracedCall:
    operation = row["operation"].rpartition("::")[2]
    if operation not in OPERATIONS:
        raise PublishedDataError(f"{path}: the operation {row['operation']!r} is not known; add it to OPERATIONS")
    try:
        return OPERATIONS[operation](ast.literal_eval(row["feature"]))
    except (KeyError, TypeError, ValueError, SyntaxError, ZeroDivisionError) as error:
        raise PublishedDataError(f"{path}: {row['operation']} has the feature {row['feature']}: {error!r}") from error


def _models(
    column: str, rows: list[dict[str, str]], traced: list[TracedCall], whole: Mapping[str, dict[str, str]]
) -> tuple[PublishedModel, ...]:
    calls: dict[str, list[TimedCall]] = {}
    incomplete = set()
    kernel = column.rpartition("|")[0] + "|kernel"
    for row, call in zip(rows, traced, strict=True):
        if row[column]:
            calls.setdefault(row["model"], []).append(TimedCall(call, float(row[column]) * 1e-6))
        elif row.get(kernel, "timed apart"):
            incomplete.add(row["model"])
    models = []
    for name, some in calls.items():
        mean = whole.get(name, {}).get(f"{column}|mean")
        if name not in incomplete and mean:
            flops = whole[name].get("FLOPS") or whole[name].get("flops")
            models.append(PublishedModel(name, tuple(some), float(mean) * 1e-6, float(flops) if flops else None))
    return tuple(models)
