"""ExecuTorch with its XNNPACK backend on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opclock.files import write_whole
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import (
    Array,
    Batches,
    OperatorTime,
    Precision,
    Session,
    Settings,
    float_arrays,
    lacking,
    versions_of,
)


class ExecuTorchSession:
    """A loaded method with its inputs."""

    def __init__(self, method: Any, tensors: Sequence[Any], program: Any) -> None:  # noqa: ANN401
        self._method = method
        self._tensors = list(tensors)
        self._program = program  # owns the method's memory
        self._answers: Sequence[Any] = ()

    def run(self) -> None:
        """One inference."""
        self._answers = self._method.execute(self._tensors)

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run."""
        return float_arrays([tensor.numpy().copy() for tensor in self._answers])

    def operators(self) -> Sequence[OperatorTime]:
        """Empty: the package is built without event tracing."""
        return ()


class ExecuTorch:
    """ExecuTorch: a program planned ahead of time, XNNPACK's kernels where it has them."""

    name = "executorch"
    batches: Batches = "fixed"
    precisions: Sequence[Precision] = ("float32",)
    reports_operator_times = False

    def missing(self) -> str:
        """The one package."""
        return lacking(("executorch",), "executorch")

    def versions(self) -> dict[str, str]:
        """Of the runtime."""
        return versions_of("executorch")

    def convert(self, job: Job, settings: Settings) -> None:
        """Through torch.export, for this batch."""
        import torch
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        exported = torch.export.export(job.module(), job.example())
        program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
        job.artefacts.mkdir(parents=True, exist_ok=True)
        write_whole(job.artefacts / "model.pte", program.buffer)

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """The exported forward method."""
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        portable_lib._unsafe_reset_threadpool(settings.threads)
        program = Runtime.get().load_program(job.artefacts / "model.pte")
        method = program.load_method("forward")
        return ExecuTorchSession(method, job.example(), program)
