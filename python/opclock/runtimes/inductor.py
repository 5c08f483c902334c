"""torch.compile with its default backend, inductor, and with weights frozen into the code as in other runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opclock.runtimes.eager import TorchSession, module_of
from opclock.runtimes.job import Job
from opclock.runtimes.runtime import PRECISIONS, Batches, OperatorTime, Precision, Session, Settings, versions_of

# Prefixes of inductor's names for convolutions and matrix products, which libraries execute.
MAC_KERNELS = ("mkldnn::_convolution", "mkldnn::_linear", "mkl::_mkl_linear", "aten::convolution", "aten::_convolution",
               "aten::mkldnn_convolution", "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm",
               "aten::_scaled_dot_product")  # fmt: skip
REGION = "Torch-Compiled Region"


class InductorSession(TorchSession):
    """A compiled module."""

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run, from PyTorch's profiler: library calls, and the rest as one operator."""
        from torch.profiler import ProfilerActivity, profile

        self.run()
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            self.run()
        return read_events(seen.events())


def read_events(events: Any) -> list[OperatorTime]:  # noqa: ANN401
    """Read operator times from a profile.

    Args:
        events: from ``torch.profiler.profile``, with times in microseconds.

    Returns:
        The outermost library calls, and the rest of the compiled regions around them as one operator.
    """
    operators: list[OperatorTime] = []

    def look(event: Any) -> None:  # noqa: ANN401
        if event.name.startswith(MAC_KERNELS):
            operators.append(OperatorTime(event.name, event.name, event.cpu_time_total / 1e6, is_mac=True))
            return
        for child in event.cpu_children:
            look(child)

    regions = [event for event in events if event.cpu_parent is None and event.name.startswith(REGION)]
    for region in regions:
        look(region)
    total_s = sum(region.cpu_time_total for region in regions) / 1e6
    rest_s = total_s - sum(operator.seconds for operator in operators)
    return [*operators, OperatorTime("fused kernels and host", "fused", max(0.0, rest_s), is_mac=False)]


class Inductor:
    """PyTorch's compiler: element-wise work fused, convolutions left to libraries."""

    name = "compile"
    batches: Batches = "fixed"
    precisions: Sequence[Precision] = PRECISIONS
    reports_operator_times = True

    def missing(self) -> str:
        """Inductor writes C++ for the CPU and needs a compiler."""
        import shutil

        compiler = any(shutil.which(name) for name in ("g++", "clang++", "c++"))
        return "" if compiler else "no C++ compiler: sudo apt install g++"

    def versions(self) -> dict[str, str]:
        """Of torch."""
        return versions_of("torch")

    def convert(self, job: Job, settings: Settings) -> None:
        """Nothing to do: frozen code belongs to the process that compiles it."""

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """Compile the module. A first run triggers it, so it counts as loading."""
        import torch
        from torch._inductor import config

        config.freezing = True
        module, tensors = module_of(job, settings)
        session = InductorSession(torch.compile(module, dynamic=False), tensors)
        session.run()
        return session
