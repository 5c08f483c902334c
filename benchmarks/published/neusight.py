"""Reads NeuSight's tables of GPUs: a row a node of a model's FX graph with its time, and the whole model's.

The format is that of github.com/sitar-lab/NeuSight, scripts/asplos/label: MODEL-inf-TOKENS-BATCH.csv with fw_latency in
milliseconds, of a graph with one of the model's equal blocks, and the same name with .json for the number of blocks
and fw_latency of the whole model. A folder of them is a GPU; an archive (.tar.gz) may hold several, as GPU__MODEL.csv.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import math
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from benchmarks.published.models import Device, PublishedDataError, PublishedModel, TimedCall, op_call, tensor
from opclock.tracing.op_call import TensorSpec, Value
from opclock.tracing.operator_classes import class_of
from opclock.tracing.trace import TracedCall

BLOCK = re.compile(r"\.(?:h|layers?|block)\.0[.'_]")  # in the path of a module: it is in the block that stands for all
FUNCTION = re.compile(r"<(?:built-in (?:function|method)|function) (\w+)")
MODULE = re.compile(r"\.(\w+)'>\)\]\)")  # the class of the innermost module
MODULES = {"Linear": "linear", "LayerNorm": "layer_norm", "Embedding": "embedding", "ReLU": "relu", "Tanh": "tanh",
           "GELU": "gelu", "GELUActivation": "gelu", "NewGELUActivation": "gelu", "Softmax": "softmax"}  # fmt: skip
FUNCTIONS = {"truediv": "div"}
COPIES = ("contiguous", "reshape")  # where the input is not contiguous


def recognises(path: Path) -> bool:
    """Whether this is a folder or an archive of such tables by its name."""
    return path.is_dir() or path.name.endswith((".tar.gz", ".tgz", ".tar"))


def read(path: Path) -> list[Device]:
    """Read a folder or an archive.

    Args:
        path: of the tables of one GPU or several.

    Returns:
        The GPUs, with the models that have both files.

    Raises:
        PublishedDataError: it cannot be read, or holds no model.
    """
    texts = _texts(path)
    models: dict[str, list[PublishedModel]] = {}
    for name, text in sorted(texts.items()):
        if not name.endswith(".csv") or not text.strip() or (whole := texts.get(f"{name[:-4]}.json")) is None:
            continue
        device, _, model = name[:-4].rpartition("__")
        models.setdefault(device or path.resolve().name, []).append(_model(path, model, text, whole))
    if not models:
        raise PublishedDataError(f"{path}: no MODEL.csv with MODEL.json beside it")
    return [Device(device.replace("_", " "), tuple(some)) for device, some in models.items()]


def _texts(path: Path) -> dict[str, str]:
    """The CSV and JSON files by name."""
    if path.is_dir():
        return {file.name: file.read_text(encoding="utf-8") for file in sorted(path.iterdir())
                if file.suffix in (".csv", ".json")}  # fmt: skip
    texts = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if PurePath(member.name).suffix in (".csv", ".json") and (file := archive.extractfile(member)):
                    texts[PurePath(member.name).name] = file.read().decode()
    except (OSError, tarfile.TarError) as error:
        raise PublishedDataError(f"{path}: {error}; give a folder or a .tar.gz") from error
    return texts


def _model(path: Path, name: str, text: str, whole: str) -> PublishedModel:
    try:
        facts = json.loads(whole)
        blocks = max(1, int(facts["num_layer"]))
        calls = []
        for row in csv.DictReader(io.StringIO(text)):
            if (traced := _traced(row)) is not None:
                times = blocks if BLOCK.search(f"{row['target']} {row['meta']}") else 1
                calls.append(TimedCall(traced, float(row["fw_latency"]) * 1e-3, times))
        return PublishedModel(name, tuple(calls), float(facts["fw_latency"]) * 1e-3)
    except (KeyError, ValueError, SyntaxError, TypeError) as error:
        raise PublishedDataError(f"{path}: {name} is in another format: {error!r}") from error


def _traced(row: Mapping[str, str]) -> TracedCall | None:
    """The op call of a node; None where no kernel runs: Python's own, views, and numbers instead of tensors."""
    operator = _operator(row)
    inputs = [tuple(shape) for shape in ast.literal_eval(row["input_shapes"] or "[]")]
    shape = tuple(ast.literal_eval(row["output_shape"] or "()"))
    contiguous = all(ast.literal_eval(row["input_contiguous"] or "[]"))
    if operator in COPIES and not contiguous:
        operator = "clone"
    dtype = row["dtype"].removeprefix("torch.") or "float32"
    traced = op_call(operator, _arguments(operator, inputs, shape, dtype), tensor(*shape, dtype=dtype))
    views = class_of(traced.call) in ("view", "other") or operator in (*COPIES, "dropout")
    return None if views or math.prod(shape) <= 1 else traced


def _operator(row: Mapping[str, str]) -> str:
    if row["op"] == "call_module":
        found = MODULE.search(row["meta"])
        return MODULES.get(found[1], "") if found else ""
    if row["op"] == "call_method":
        return row["target"]
    found = FUNCTION.match(row["target"]) if row["op"] == "call_function" else None
    return FUNCTIONS.get(found[1], found[1]) if found else ""


def _arguments(
    operator: str, inputs: Sequence[tuple[int, ...]], shape: tuple[int, ...], dtype: str
) -> tuple[Value, ...]:
    specs: list[TensorSpec] = [tensor(*one, dtype=dtype) for one in inputs if math.prod(one) > 1 or len(one) > 1]
    if operator == "linear" and len(specs) == 1:
        return (*specs, tensor(shape[-1], inputs[0][-1], dtype=dtype, weight=True))
    if operator == "embedding":
        return tuple(tensor(*one, dtype="int64") for one in inputs[:1])
    return tuple(specs)
