"""Eager PyTorch, with which every other runtime is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opclock.runtimes.job import Job
from opclock.runtimes.runtime import (
    PRECISIONS,
    Array,
    Batches,
    OperatorTime,
    Precision,
    Session,
    Settings,
    float_arrays,
    versions_of,
)


class TorchSession:
    """A module, compiled or not, called under inference_mode."""

    def __init__(self, forward: Callable[..., Any], tensors: Sequence[Any]) -> None:
        import torch

        self._torch = torch
        self._forward = forward
        self._tensors = tensors
        self._answer: Any = ()

    def run(self) -> None:
        """One inference."""
        with self._torch.inference_mode():
            self._answer = self._forward(*self._tensors)

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run, as float32."""
        return float_arrays([tensor.float() if tensor.is_floating_point() else tensor for tensor in self._answer])

    def operators(self) -> Sequence[OperatorTime]:
        """Empty: opclock estimates the operator times of eager PyTorch."""
        return ()


def module_of(job: Job, settings: Settings) -> tuple[Any, list[Any]]:
    """Load the job's module and inputs in the wanted precision, and set PyTorch's threads."""
    import torch

    torch.set_num_threads(settings.threads)
    dtype = getattr(torch, settings.precision)
    tensors = [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in job.example()]
    return job.module().to(dtype), tensors


class Eager:
    """PyTorch, operator by operator."""

    name = "eager"
    batches: Batches = "any"
    precisions: Sequence[Precision] = PRECISIONS
    reports_operator_times = False

    def missing(self) -> str:
        """Never missing: opclock needs torch for every model."""
        return ""

    def versions(self) -> dict[str, str]:
        """Of torch."""
        return versions_of("torch")

    def convert(self, job: Job, settings: Settings) -> None:
        """Nothing to do."""

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """The module itself."""
        return TorchSession(*module_of(job, settings))
