"""The ONNX file that several runtimes start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opclock.runtimes.job import Job

if TYPE_CHECKING:
    import torch

BATCH = "batch"  # the name of the dimension that is left open
PACKAGES = ("onnx", "onnxscript")


def model_file(job: Job) -> Path:
    """The path of the job's ONNX model."""
    return job.artefacts / "model.onnx"


def export(job: Job) -> None:
    """Export the model with a variable batch. Raises as ``torch.onnx.export``."""
    import torch

    job.artefacts.mkdir(parents=True, exist_ok=True)
    dims = job.batching().dims
    batch = torch.export.Dim(BATCH)
    shapes = tuple({} if dim is None else {dim: batch} for dim in dims)
    program = torch.onnx.export(job.module(), _several(job, dims), dynamo=True, verbose=False, dynamic_shapes=(shapes,))
    assert program is not None
    program.save(str(model_file(job)))


def _several(job: Job, dims: Sequence[int | None]) -> tuple[torch.Tensor, ...]:
    """The example with at least two items: of one item, the exporter would take the batch for a constant."""
    import torch

    return tuple(
        torch.cat((tensor, tensor), dim) if dim is not None and tensor.shape[dim] == 1 else tensor
        for tensor, dim in zip(job.example(), dims, strict=True)
    )
