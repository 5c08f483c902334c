"""LiteRT (TensorFlow Lite) with its XNNPACK delegate on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opclock.runtimes import xnnpack
from opclock.runtimes.job import Job
from opclock.runtimes.litert_profiler import ProfiledModel, ProfiledOperator, last_number
from opclock.runtimes.runtime import (
    PROFILED_RUNS,
    WARMUP_RUNS,
    Array,
    Batches,
    OperatorTime,
    Precision,
    Session,
    Settings,
    float_arrays,
    lacking,
    typical,
    versions_of,
)

MAC_KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "CONV_3D_TRANSPOSE", "TRANSPOSE_CONV", "FULLY_CONNECTED",
             "BATCH_MATMUL", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "LSTM",
             "STABLEHLO_DOT_GENERAL", "STABLEHLO_CONVOLUTION")  # fmt: skip


class LiteRtSession:
    """An interpreter with its inputs."""

    def __init__(self, interpreter: Any, model: Path, inputs: Sequence[Array], threads: int) -> None:  # noqa: ANN401
        self._interpreter = interpreter
        self._places = [detail["index"] for detail in _ordered(interpreter.get_input_details())]
        self._outputs = [detail["index"] for detail in _ordered(interpreter.get_output_details())]
        self._inputs = inputs
        self._model = model
        self._threads = threads

    def run(self) -> None:
        """Run one inference. Inputs are set each time, because the interpreter may reuse their memory."""
        for place, array in zip(self._places, self._inputs, strict=True):
            self._interpreter.set_tensor(place, array)
        self._interpreter.invoke()

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run."""
        return float_arrays([self._interpreter.get_tensor(place) for place in self._outputs])

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run of the same file in the library of the same package."""
        profiled = ProfiledModel(self._model, self._inputs, self._threads)
        for _ in range(WARMUP_RUNS):
            profiled.run()
        return typical([[*map(self._operator_time, profiled.operators())] for _ in range(PROFILED_RUNS)])

    def _operator_time(self, operator: ProfiledOperator) -> OperatorTime:
        if operator.delegated:
            return xnnpack.operator_time(operator.kind, operator.seconds)
        output = self._interpreter._get_op_details(operator.node)["outputs"][0]
        name = self._interpreter._get_tensor_details(output, 0)["name"]
        return OperatorTime(name, operator.kind, operator.seconds, operator.kind in MAC_KINDS, delegated=False)


def _ordered(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort by the number in names such as "serving_default_args_1:0" and "StatefulPartitionedCall:1"."""

    def number(detail: dict[str, Any]) -> int:
        return last_number(detail["name"].replace(":0", "") if "args_" in detail["name"] else detail["name"])

    return sorted(details, key=number)


class LiteRt:
    """LiteRT: a flat graph, XNNPACK's kernels."""

    name = "litert"
    batches: Batches = "fixed"
    precisions: Sequence[Precision] = ("float32",)
    reports_operator_times = True

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

        model = job.artefacts / "model.tflite"
        interpreter = Interpreter(str(model), num_threads=settings.threads)
        interpreter.allocate_tensors()
        return LiteRtSession(interpreter, model, job.inputs(), settings.threads)
