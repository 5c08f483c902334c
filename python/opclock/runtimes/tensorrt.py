"""TensorRT, on boards that have it. NVIDIA's packages install it, pip does not.

This file follows the documented Python API of TensorRT 8.6 and 10 (named tensors, execute_async_v3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opclock.files import write_whole
from opclock.runtimes import onnx
from opclock.runtimes.job import Job
from opclock.runtimes.nesting import array_of
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

# TensorRT's names of dtypes, and PyTorch's.
DTYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT8": "int8", "UINT8": "uint8",
          "INT32": "int32", "INT64": "int64", "BOOL": "bool"}  # fmt: skip


class TensorRtSession:
    """An execution context whose inputs and outputs lie on the GPU."""

    def __init__(self, engine: Any, job: Job, profiled: bool) -> None:  # noqa: ANN401
        import tensorrt
        import torch

        self._torch = torch
        self._context = engine.create_execution_context()
        self._layers = _layer_times() if profiled else None
        if self._layers is not None:
            self._context.profiler = self._layers
        self._stream = torch.cuda.Stream()
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
        self._tensors = {name: tensor.cuda() for name, tensor in zip(inputs, job.example(), strict=True)}
        for name, tensor in self._tensors.items():
            self._context.set_input_shape(name, tuple(tensor.shape))
        self._outputs = [
            torch.empty(
                tuple(self._context.get_tensor_shape(name)),
                device="cuda",
                dtype=getattr(torch, DTYPES[engine.get_tensor_dtype(name).name]),
            )
            for name in names
            if name not in inputs
        ]
        for name, tensor in self._tensors.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        for name, tensor in zip([name for name in names if name not in inputs], self._outputs, strict=True):
            self._context.set_tensor_address(name, tensor.data_ptr())

    def run(self) -> None:
        """Run one inference, until the GPU is idle."""
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("TensorRT could not run the engine")
        self._stream.synchronize()

    def answers(self) -> Sequence[Array]:
        """Of the last run."""
        return float_arrays([array_of(tensor) for tensor in self._outputs])

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run, by layer."""
        if self._layers is None:
            return ()
        self._layers.seen.clear()
        self.run()
        return [
            OperatorTime(
                name, name, seconds, "conv" in name.lower() or "gemm" in name.lower() or "matmul" in name.lower()
            )
            for name, seconds in self._layers.seen
        ]


def _layer_times() -> Any:  # noqa: ANN401
    import tensorrt

    class LayerTimes(tensorrt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[tuple[str, float]] = []

        def report_layer_time(self, layer_name: str, milliseconds: float) -> None:
            self.seen.append((layer_name, milliseconds / 1e3))

    return LayerTimes()


class TensorRt:
    """TensorRT: NVIDIA's compiler for its own GPUs."""

    name = "tensorrt"
    batches: Batches = "fixed"
    precisions: Sequence[Precision] = ("float32", "float16", "bfloat16")
    reports_operator_times = True

    def missing(self) -> str:
        """NVIDIA's package, a GPU, and what exports to ONNX."""
        if lacking(("tensorrt",), ""):
            return "tensorrt not installed: it comes with JetPack (sudo apt install nvidia-jetpack), not with pip"
        import torch

        return lacking(onnx.PACKAGES, "onnxruntime") or (
            "" if torch.cuda.is_available() else "torch sees no NVIDIA GPU"
        )

    def versions(self) -> dict[str, str]:
        """Of the runtime and the exporter."""
        import tensorrt

        return {"tensorrt": tensorrt.__version__, **versions_of(*onnx.PACKAGES)}

    def convert(self, job: Job, settings: Settings) -> None:
        """Export to ONNX, then build an engine for this batch."""
        import tensorrt

        onnx.export(job)
        logger = tensorrt.Logger(tensorrt.Logger.WARNING)
        builder = tensorrt.Builder(logger)
        network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))
        parser = tensorrt.OnnxParser(network, logger)
        if not parser.parse_from_file(str(onnx.model_file(job))):
            raise RuntimeError(f"TensorRT cannot read the model: {parser.get_error(0)}")
        config = builder.create_builder_config()
        config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED
        if settings.precision != "float32":
            config.set_flag(tensorrt.BuilderFlag.FP16 if settings.precision == "float16" else tensorrt.BuilderFlag.BF16)
        else:
            config.clear_flag(tensorrt.BuilderFlag.TF32)
        shapes = builder.create_optimization_profile()
        for number, array in enumerate(job.inputs()):
            shapes.set_shape(network.get_input(number).name, array.shape, array.shape, array.shape)
        config.add_optimization_profile(shapes)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise RuntimeError("TensorRT built no engine; its log above says why")
        write_whole(job.artefacts / "model.engine", bytes(engine))

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """The engine and a context."""
        import tensorrt

        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        engine = runtime.deserialize_cuda_engine((job.artefacts / "model.engine").read_bytes())
        return TensorRtSession(engine, job, profiled)
