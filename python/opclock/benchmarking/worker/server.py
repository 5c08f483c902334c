"""The child that converts or runs one model with one runtime: `python -m opclock.benchmarking.worker.server`."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opclock.benchmarking.worker.answers import differs
from opclock.benchmarking.worker.sampling import sample
from opclock.board.contention import Contention
from opclock.children.serving import serve
from opclock.extension import load_core, process_clock
from opclock.files import text_of
from opclock.runtimes.job import Job
from opclock.runtimes.preparation import learn_batch, prepare
from opclock.runtimes.registry import find
from opclock.runtimes.runtime import Session, Settings

if TYPE_CHECKING:
    from opclock.benchmarking.worker.kernels import Kernels


class Worker:
    """Handles the requests."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._kernels: Kernels | None = None
        self._contention = Contention()

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write the files that all runtimes of a model share."""
        return {"note": prepare(_job(request), request["batches"]).note}

    def learn_batch(self, request: dict[str, Any]) -> dict[str, Any]:
        """Find the dimension that is the batch."""
        batching = learn_batch(_job(request))
        return {"note": batching.note, "known": batching.known}

    def convert(self, request: dict[str, Any]) -> dict[str, Any]:
        """Convert the model. The seconds include importing the converter, which cannot be timed separately."""
        job = _job(request)
        start = time.perf_counter()
        find(job.runtime).convert(job, _settings(request))
        return {"seconds": time.perf_counter() - start}

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the model, run it once, and compare the answer with eager PyTorch's."""
        job, settings = _job(request), _settings(request)
        start = time.perf_counter()
        self._session = find(job.runtime).load(job, settings, profiled=request["profiled"])
        loaded = time.perf_counter()
        self._session.run()
        first = time.perf_counter()
        wrong = differs(self._session.answers(), job.expected(), job.signal_rms(), settings.precision)
        return {"load_s": loaded - start, "first_run_s": first - loaded, "wrong": wrong}

    def block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run the model once untimed, then time the requested number of runs; with the kernel's readings."""
        assert self._session is not None, "load comes first"
        samples, readings = sample(self._session.run, request["runs"], self._contention)
        return {"samples": samples, "readings": {name: values.tolist() for name, values in vars(readings).items()}}

    def operators(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the operator times that the runtime reports."""
        assert self._session is not None, "load comes first"
        return {"operators": [asdict(operator) for operator in self._session.operators()]}

    def postprocess(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time the model's post-processing, if it has one: seconds of each call."""
        import torch

        from opclock.runtimes.eager import module_of

        module, tensors = module_of(_job(request), _settings(request))
        postprocess = getattr(module.model, "postprocess", None)
        if postprocess is None:
            return {"samples": []}
        with torch.inference_mode():
            output = module.model(*tensors)
            postprocess(output)
            return {"samples": load_core().time_calls(process_clock(), lambda: postprocess(output), request["runs"])}

    def kernels(self, request: dict[str, Any]) -> dict[str, Any]:
        """Trace the model and prepare its op calls, instead of loading it into a runtime."""
        from opclock.benchmarking.worker.kernels import Kernels

        self._kernels = Kernels(_job(request), _settings(request), Path(request["profile"]))
        return {}

    def kernel_block(self, request: dict[str, Any]) -> dict[str, Any]:
        """Time one block of rounds of the op calls."""
        assert self._kernels is not None, "kernels comes first"
        return asdict(self._kernels.block(request["rounds"]))

    def estimate(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the estimate from the rounds: the latency and its 95 % interval, in seconds, and the flags."""
        assert self._kernels is not None, "kernels comes first"
        estimate = self._kernels.end()
        return {"latency_s": estimate.total_s, "low_s": estimate.ci_low_s, "high_s": estimate.ci_high_s,
                "flags": estimate.flags}  # fmt: skip

    def memory(self, _request: dict[str, Any]) -> dict[str, Any]:
        """Return the peak memory of this process so far, in bytes."""
        for line in text_of(Path("/proc/self/status")).splitlines():
            if line.startswith("VmHWM:"):
                return {"peak_bytes": int(line.split()[1]) * 1024}
        return {"peak_bytes": 0}


def _job(request: dict[str, Any]) -> Job:
    return Job.from_json(request["job"])


def _settings(request: dict[str, Any]) -> Settings:
    return Settings(**request["settings"])


def main() -> None:
    """Serve requests until there are no more, or the parent ends."""
    worker = Worker()
    serve({
        "prepare": worker.prepare, "learn_batch": worker.learn_batch,
        "convert": worker.convert, "load": worker.load, "block": worker.block,
        "operators": worker.operators, "postprocess": worker.postprocess, "memory": worker.memory,
        "kernels": worker.kernels, "kernel_block": worker.kernel_block, "estimate": worker.estimate,
    })  # fmt: skip


if __name__ == "__main__":
    main()
