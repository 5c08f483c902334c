"""ncnn on the CPU, converted by pnnx."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

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

MAC_KINDS = ("Convolution", "ConvolutionDepthWise", "Convolution1D", "ConvolutionDepthWise1D", "Convolution3D",
             "ConvolutionDepthWise3D", "Deconvolution", "DeconvolutionDepthWise", "Deconvolution1D",
             "DeconvolutionDepthWise1D", "Deconvolution3D", "DeconvolutionDepthWise3D", "DeformableConv2D",
             "InnerProduct", "Gemm", "MatMul", "Einsum", "MultiHeadAttention", "SDPA", "LSTM", "GRU",
             "RNN")  # fmt: skip


class Layer(NamedTuple):
    """A layer of a network, by the first blob that it computes."""

    kind: str
    name: str
    blob: str


class NcnnSession:
    """A network that runs one image at a time, because ncnn has no batches."""

    def __init__(self, net: Any, inputs: Sequence[Array], layers: Sequence[Layer]) -> None:  # noqa: ANN401
        import ncnn

        self._net = net
        self._layers = layers
        self._images = [
            [ncnn.Mat(np.ascontiguousarray(array[i])).clone() for array in inputs] for i in range(len(inputs[0]))
        ]
        self._input_names, self._output_names = list(net.input_names()), list(net.output_names())
        self._answers: list[list[Any]] = []

    def run(self) -> None:
        """Run one inference for each image of the batch."""
        self._answers = []
        for image in self._images:
            extractor = self._extractor(image)
            self._answers.append([_checked(extractor.extract(name), name) for name in self._output_names])

    def _extractor(self, image: Sequence[Any]) -> Any:  # noqa: ANN401
        extractor = self._net.create_extractor()
        for name, mat in zip(self._input_names, image, strict=True):
            extractor.input(name, mat)
        return extractor

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run, stacked by image."""
        return float_arrays(
            [np.stack([np.array(mat) for mat in output]) for output in zip(*self._answers, strict=True)]
        )

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run.

        The package counts nothing, but an extractor computes only what is asked for. So it is asked for the first blob
        of each layer in the network's order, twice: first it computes the layer and hands out the blob, then it only
        hands it out.
        """
        for _ in range(WARMUP_RUNS):
            self.run()
        return typical([self._layer_times() for _ in range(PROFILED_RUNS)])

    def _layer_times(self) -> list[OperatorTime]:
        seconds = [0.0] * len(self._layers)
        for image in self._images:
            extractor = self._extractor(image)
            for place, layer in enumerate(self._layers):
                seconds[place] += _extraction_s(extractor, layer.blob) - _extraction_s(extractor, layer.blob)
        return [OperatorTime(layer.name, layer.kind, max(0.0, spent_s), layer.kind in MAC_KINDS)
                for layer, spent_s in zip(self._layers, seconds, strict=True)]  # fmt: skip


def _extraction_s(extractor: Any, blob: str) -> float:  # noqa: ANN401
    """Seconds until the extractor hands out this blob. It is gone afterwards: a layer copies one that others hold."""
    start = time.perf_counter()
    _checked(extractor.extract(blob), blob)
    return time.perf_counter() - start


def read_layers(param: Path) -> list[Layer]:
    """The layers of a .param file in order, without inputs and constants.

    Below two lines with the version and counts, each line is a layer: type, name, number of blobs that it reads, number
    of blobs that it computes, their names, and parameters.
    """
    layers = []
    for line in param.read_text(encoding="utf-8").splitlines()[2:]:
        kind, name, reads, computes, *rest = line.split()
        if int(reads) and int(computes):
            layers.append(Layer(kind, name, rest[int(reads)]))
    return layers


def _checked(extracted: tuple[int, Any], name: str) -> Any:  # noqa: ANN401
    status, mat = extracted
    if status != 0:
        raise RuntimeError(f"ncnn could not compute {name} (status {status})")
    return mat


class Ncnn:
    """ncnn: written for phones and Arm boards."""

    name = "ncnn"
    batches: Batches = "one"
    precisions: Sequence[Precision] = ("float32", "bfloat16", "float16")
    reports_operator_times = True

    def missing(self) -> str:
        """The runtime and its converter."""
        return lacking(("ncnn", "pnnx"), "ncnn")

    def versions(self) -> dict[str, str]:
        """Of the runtime and its converter."""
        return versions_of("ncnn", "pnnx")

    def convert(self, job: Job, settings: Settings) -> None:
        """Export TorchScript for one image, and convert it with pnnx, which derives the file names."""
        import pnnx
        import torch

        if set(job.batching().dims) != {0}:
            raise ValueError("ncnn runs one item at a time, which needs a batch in dimension 0 of every input")
        job.artefacts.mkdir(parents=True, exist_ok=True)
        image = tuple(tensor[:1] for tensor in job.example())
        torch.jit.trace(job.module(), image, check_trace=False).save(str(job.artefacts / "model.pt"))
        shapes = ",".join(f"[{','.join(map(str, tensor.shape))}]{_letter(tensor)}" for tensor in image)
        command = [pnnx.EXEC_PATH, "model.pt", f"inputshape={shapes}", "fp16=0"]
        done = subprocess.run(command, cwd=job.artefacts, capture_output=True, encoding="utf-8", errors="replace",
                              check=False)  # fmt: skip
        if done.returncode != 0 or not (job.artefacts / "model.ncnn.param").is_file():
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise RuntimeError(f"pnnx ended with {done.returncode} and said: {said}")
        for leftover in ("model.pt", "model.pnnx.bin"):
            (job.artefacts / leftover).unlink(missing_ok=True)

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """A network in the wanted precision."""
        import ncnn

        net = ncnn.Net()
        net.opt.num_threads = settings.threads
        half, brain = settings.precision == "float16", settings.precision == "bfloat16"
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
        net.opt.use_bf16_storage = brain
        for load, suffix in ((net.load_param, "param"), (net.load_model, "bin")):
            if load(str(job.artefacts / f"model.ncnn.{suffix}")) != 0:
                raise RuntimeError(f"ncnn cannot read model.ncnn.{suffix}: an operator it does not know")
        return NcnnSession(net, job.inputs(), read_layers(job.artefacts / "model.ncnn.param"))


def _letter(tensor: Any) -> str:  # noqa: ANN401
    return {"torch.float32": "f32", "torch.int64": "i64", "torch.int32": "i32"}.get(str(tensor.dtype), "f32")
