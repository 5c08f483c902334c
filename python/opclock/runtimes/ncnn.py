"""ncnn on the CPU, converted by pnnx."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np

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


class NcnnSession:
    """A network that runs one image at a time, because ncnn has no batches."""

    def __init__(self, net: Any, inputs: Sequence[Array]) -> None:  # noqa: ANN401
        import ncnn

        self._net = net
        self._images = [
            [ncnn.Mat(np.ascontiguousarray(array[i])).clone() for array in inputs] for i in range(len(inputs[0]))
        ]
        self._input_names, self._output_names = list(net.input_names()), list(net.output_names())
        self._answers: list[list[Any]] = []

    def run(self) -> None:
        """Run one inference for each image of the batch."""
        self._answers = []
        for image in self._images:
            extractor = self._net.create_extractor()
            for name, mat in zip(self._input_names, image, strict=True):
                extractor.input(name, mat)
            self._answers.append([_checked(extractor.extract(name), name) for name in self._output_names])

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run, stacked by image."""
        return float_arrays(
            [np.stack([np.array(mat) for mat in output]) for output in zip(*self._answers, strict=True)]
        )

    def operators(self) -> Sequence[OperatorTime]:
        """Empty: the package is built without its benchmark counters."""
        return ()


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
    reports_operator_times = False

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
        return NcnnSession(net, job.inputs())


def _letter(tensor: Any) -> str:  # noqa: ANN401
    return {"torch.float32": "f32", "torch.int64": "i64", "torch.int32": "i32"}.get(str(tensor.dtype), "f32")
