"""LiteRT (TensorFlow Lite) with its XNNPACK delegate on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


class LiteRtSession:
    """An interpreter with its inputs."""

    def __init__(self, interpreter: Any, inputs: Sequence[Array]) -> None:  # noqa: ANN401
        self._interpreter = interpreter
        self._places = [detail["index"] for detail in _ordered(interpreter.get_input_details())]
        self._outputs = [detail["index"] for detail in _ordered(interpreter.get_output_details())]
        self._inputs = inputs

    def run(self) -> None:
        """Run one inference. Inputs are set each time, because the interpreter may reuse their memory."""
        for place, array in zip(self._places, self._inputs, strict=True):
            self._interpreter.set_tensor(place, array)
        self._interpreter.invoke()

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run."""
        return float_arrays([self._interpreter.get_tensor(place) for place in self._outputs])

    def operators(self) -> Sequence[OperatorTime]:
        """Empty: the Python package does not report them."""
        return ()


def _ordered(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort by the number in names such as "serving_default_args_1:0" and "StatefulPartitionedCall:1"."""
    import re

    def number(detail: dict[str, Any]) -> int:
        digits = re.findall(r"(\d+)", detail["name"].replace(":0", "") if "args_" in detail["name"] else detail["name"])
        return int(digits[-1]) if digits else 0

    return sorted(details, key=number)


class LiteRt:
    """LiteRT: a flat graph, XNNPACK's kernels."""

    name = "litert"
    batches: Batches = "fixed"
    precisions: Sequence[Precision] = ("float32",)
    reports_operator_times = False

    def missing(self) -> str:
        """The interpreter and the converter."""
        return lacking(("ai_edge_litert", "litert_torch"), "litert")

    def versions(self) -> dict[str, str]:
        """Of the interpreter and the converter."""
        return versions_of("ai-edge-litert", "litert-torch")

    def convert(self, job: Job, settings: Settings) -> None:
        """Through torch.export, for this batch."""
        import litert_torch

        job.artefacts.mkdir(parents=True, exist_ok=True)
        litert_torch.convert(job.module(), job.example()).export(str(job.artefacts / "model.tflite"))

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """An interpreter with its tensors allocated."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(job.artefacts / "model.tflite"), num_threads=settings.threads)
        interpreter.allocate_tensors()
        return LiteRtSession(interpreter, job.inputs())
