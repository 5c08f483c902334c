"""OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    versions_of,
)

HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
NO_KERNEL = ("undef", "unknown")  # how the name of a kernel begins where there is none
MAC_KINDS = ("Convolution", "GroupConvolution", "Deconvolution", "ConvolutionBackpropData", "FullyConnected", "MatMul",
             "LSTMSequence", "GRUSequence", "LSTMCell", "GRUCell", "RNNSeq", "RNNCell",
             "ScaledDotProductAttention", "ScaledDotProductAttentionWithKVCache")  # fmt: skip


class OpenVinoSession:
    """An inference request with its inputs."""

    def __init__(self, request: Any, inputs: Sequence[Array], *, profiled: bool) -> None:  # noqa: ANN401
        self._request = request
        self._profiled = profiled
        self._inputs = dict(enumerate(inputs))
        self._answers: Sequence[Array] = ()
        self._runs = 0

    def run(self) -> None:
        """One inference."""
        self._answers = self._request.infer(self._inputs, share_inputs=True, share_outputs=True).values()
        self._runs += 1

    def answers(self) -> Sequence[Array]:
        """Of the last run."""
        return float_arrays([array.copy() for array in self._answers])

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run, if it counts them.

        OpenVINO tells the mean over all runs since the model was compiled, and the first ones are slow. So this is the
        difference of the sums before and after some runs, over their number.
        """
        if not self._profiled:
            return ()
        for _ in range(WARMUP_RUNS):
            self.run()
        before_s = {node.node_name: self._sum_s(node) for node in self._executed()}
        for _ in range(PROFILED_RUNS):
            self.run()
        return [
            OperatorTime(node.node_name, node.node_type,
                         max(0.0, self._sum_s(node) - before_s.get(node.node_name, 0.0)) / PROFILED_RUNS,
                         node.node_type in MAC_KINDS)
            for node in self._executed()
        ]  # fmt: skip

    def _executed(self) -> list[Any]:
        """Nodes with a kernel: inputs, results and what was fused into others have none.

        Their status does not tell: those that are faster than the resolution count as not run.
        """
        return [node for node in self._request.get_profiling_info() if not node.exec_type.startswith(NO_KERNEL)]

    def _sum_s(self, node: Any) -> float:  # noqa: ANN401
        mean_s: float = node.real_time.total_seconds()
        return mean_s * self._runs


class OpenVino:
    """OpenVINO: graph fusion, then oneDNN and its own kernels."""

    name = "openvino"
    batches: Batches = "any"
    precisions: Sequence[Precision] = ("float32", "bfloat16", "float16")
    reports_operator_times = True

    def missing(self) -> str:
        """The one package."""
        return lacking(("openvino",), "openvino")

    def versions(self) -> dict[str, str]:
        """Of the runtime."""
        return versions_of("openvino")

    def convert(self, job: Job, settings: Settings) -> None:
        """Convert through TorchScript, which is OpenVINO's default, with a variable batch."""
        import openvino

        example = job.example()
        module = job.module()
        model = openvino.convert_model(module, example_input=example[0] if len(example) == 1 else example)
        dims = job.batching().dims
        model.reshape(
            {
                number: [-1 if axis == dims[number] else size for axis, size in enumerate(tensor.shape)]
                for number, tensor in enumerate(example)
            }
        )
        job.artefacts.mkdir(parents=True, exist_ok=True)
        openvino.save_model(model, model_file(job), compress_to_fp16=False)

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """Compile for one stream that uses all threads, which gives the shortest latency."""
        import openvino

        core = openvino.Core()
        inputs = job.inputs()
        model = core.read_model(model_file(job))
        model.reshape({number: list(array.shape) for number, array in enumerate(inputs)})
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_NUM_THREADS": settings.threads, "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": HINTS[settings.precision], "PERF_COUNT": profiled,
        })  # fmt: skip
        return OpenVinoSession(compiled.create_infer_request(), inputs, profiled=profiled)


def model_file(job: Job) -> Path:
    """The path of the converted model."""
    return job.artefacts / "model.xml"
