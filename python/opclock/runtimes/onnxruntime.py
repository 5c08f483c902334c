"""ONNX Runtime on the CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opclock.runtimes import onnx
from opclock.runtimes.job import Job
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

PROVIDER = "CPUExecutionProvider"
MAC_KINDS = ("Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Einsum", "Attention",
             "MultiHeadAttention", "LSTM", "GRU", "QLinearConv", "ConvInteger")  # fmt: skip


class OnnxSession:
    """An InferenceSession with its inputs."""

    def __init__(self, session: Any, inputs: Sequence[Array], profiled: bool) -> None:  # noqa: ANN401
        self._session = session
        self._feed = {node.name: array for node, array in zip(session.get_inputs(), inputs, strict=True)}
        self._profiled = profiled
        self._answers: Sequence[Array] = ()

    def run(self) -> None:
        """One inference."""
        self._answers = self._session.run(None, self._feed)

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run."""
        return float_arrays(self._answers)

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run, from the trace that the session wrote."""
        if not self._profiled:
            return ()
        for _ in range(WARMUP_RUNS + PROFILED_RUNS):
            self.run()
        path = Path(self._session.end_profiling())
        runs = read_runs(json.loads(path.read_text(encoding="utf-8")))
        path.unlink()
        return typical(runs[-PROFILED_RUNS:])


def read_runs(events: Sequence[dict[str, Any]]) -> list[list[OperatorTime]]:
    """Read the operator times of each inference, the first one first.

    Args:
        events: from ONNX Runtime's trace, with times in microseconds.

    Returns:
        For each inference the times by operator.
    """
    nodes = [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    runs = []
    for run in sorted(
        (event for event in events if event.get("name") == "model_run"), key=lambda run: float(run["ts"])
    ):
        begin, end = float(run["ts"]), float(run["ts"]) + float(run["dur"])
        runs.append([
            OperatorTime(node["name"].removesuffix("_kernel_time"), node["args"]["op_name"], float(node["dur"]) / 1e6,
                         node["args"]["op_name"] in MAC_KINDS)
            for node in nodes
            if begin <= float(node["ts"]) <= end
        ])  # fmt: skip
    return runs


class OnnxRuntime:
    """ONNX Runtime: graph optimisations, then its own kernels."""

    name = "onnxruntime"
    batches: Batches = "any"
    precisions: Sequence[Precision] = ("float32",)
    reports_operator_times = True

    def missing(self) -> str:
        """The runtime, and what exports to it."""
        return lacking(("onnxruntime", *onnx.PACKAGES), "onnxruntime")

    def versions(self) -> dict[str, str]:
        """Of the runtime and the exporter."""
        return versions_of("onnxruntime", *onnx.PACKAGES)

    def convert(self, job: Job, settings: Settings) -> None:
        """Export with a variable batch."""
        onnx.export(job)

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """Create a session for this batch."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_free_dimension_override_by_name(onnx.BATCH, job.batch)
        options.enable_profiling = profiled
        options.profile_file_prefix = str(job.artefacts / "profile")
        session = onnxruntime.InferenceSession(str(onnx.model_file(job)), options, providers=[PROVIDER])
        return OnnxSession(session, job.inputs(), profiled)
