"""The ONNX file that several runtimes start from."""

from __future__ import annotations

from pathlib import Path

from opclock.runtimes.job import Job

BATCH = "batch"  # the name of the free first dimension
PACKAGES = ("onnx", "onnxscript")


def model_file(job: Job) -> Path:
    """The path of the job's ONNX model."""
    return job.artefacts / "model.onnx"


def export(job: Job) -> None:
    """Export the model with a variable batch. Raises as ``torch.onnx.export``."""
    import torch

    job.artefacts.mkdir(parents=True, exist_ok=True)
    example = job.at(max(2, job.batch))  # with batch 1, the exporter would take the batch for a constant
    tensors = example.example() if example.batch_folder.is_dir() else _doubled(job)
    batch = torch.export.Dim(BATCH)
    program = torch.onnx.export(
        job.module(), tensors, dynamo=True, verbose=False, dynamic_shapes=(tuple({0: batch} for _ in tensors),)
    )
    assert program is not None
    program.save(str(model_file(job)))


def _doubled(job: Job) -> tuple[object, ...]:
    return tuple(tensor.repeat(2, *[1] * (tensor.ndim - 1)) for tensor in job.example())
