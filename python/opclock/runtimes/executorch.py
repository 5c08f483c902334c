"""ExecuTorch with its XNNPACK backend on the CPU."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opclock.files import write_json, write_whole
from opclock.runtimes import xnnpack
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

FALLBACKS = "fallbacks.json"  # names of the nodes that no delegate runs, in order, by operator
RUN, KERNEL = "Method::execute", "native_call_"  # names of events: a whole run, and prefix of ExecuTorch's own kernels
WRAPPED = "model"  # the user's model inside the module that is exported
NS = 1e-9
MAC_KINDS = ("convolution.out", "addmm.out", "mm.out", "bmm.out", "linear.out", "baddbmm.out")


class ExecuTorchSession:
    """A loaded method with its inputs."""

    def __init__(self, artefacts: Path, tensors: Sequence[Any]) -> None:
        self._program = _program(artefacts)  # owns the method's memory
        self._method = self._program.load_method("forward")
        self._tensors = list(tensors)
        self._artefacts = artefacts
        self._answers: Sequence[Any] = ()

    def run(self) -> None:
        """One inference."""
        self._answers = self._method.execute(self._tensors)

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run."""
        return float_arrays([tensor.numpy().copy() for tensor in self._answers])

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run, from the events that the runtime collects in an ETDump."""
        from executorch.devtools.etdump.serialize import deserialize_from_etdump_flatcc

        program = _program(self._artefacts, events=True)
        method = program.load_method("forward")
        for _ in range(WARMUP_RUNS + PROFILED_RUNS):
            method.execute(self._tensors)
        dump, unused = self._artefacts / "profile.etdp", self._artefacts / "profile.bin"
        program.write_etdump_result_to_file(str(dump), str(unused))
        blocks = deserialize_from_etdump_flatcc(dump.read_bytes()).run_data
        for path in (dump, unused):
            path.unlink(missing_ok=True)
        events = [event.profile_event for block in blocks for event in block.events or () if event.profile_event]
        names = json.loads((self._artefacts / FALLBACKS).read_text(encoding="utf-8"))
        return typical(read_runs(events, names)[-PROFILED_RUNS:])


def _program(artefacts: Path, *, events: bool = False) -> Any:  # noqa: ANN401
    from executorch.runtime import Runtime

    return Runtime.get().load_program(artefacts / "model.pte", enable_etdump=events)


def read_runs(events: Sequence[Any], fallbacks: Mapping[str, Sequence[str]]) -> list[list[OperatorTime]]:
    """Read the operator times of each run.

    Args:
        events: an ETDump's ProfileEvents, with times in nanoseconds.
        fallbacks: the names of the nodes that no delegate runs, in order, by operator ("add.out").

    Returns:
        For each run the times by operator: those inside a delegate by its own name, others by the name of their node.
    """
    runs = []
    for whole in (event for event in events if event.name == RUN):
        inside = [event for event in events if whole.start_time <= event.start_time < whole.end_time]
        names = {kind: iter(listed) for kind, listed in fallbacks.items()}
        times = []
        for event in sorted(inside, key=lambda event: event.start_time):
            seconds = (event.end_time - event.start_time) * NS
            if event.delegate_debug_id_str:
                times.append(xnnpack.operator_time(event.delegate_debug_id_str, seconds))
            elif (event.name or "").startswith(KERNEL):
                kind = event.name.removeprefix(KERNEL)
                name = next(names.get(kind, iter(())), kind)
                times.append(OperatorTime(name, kind, seconds, kind in MAC_KINDS, delegated=False))
        runs.append(times)
    return runs


def fallbacks_of(graph: Any) -> dict[str, list[str]]:  # noqa: ANN401
    """The nodes of a lowered graph that no delegate runs, by operator, with the path of the module that calls each."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op == "call_function" and schema is not None:
            kind = f"{schema.name.partition('::')[2]}.{schema.overload_name or 'default'}"
            stack = list((node.meta.get("nn_module_stack") or {"": ("", None)}).values())
            module = stack[-1][0].removeprefix(WRAPPED).lstrip(".")
            found.setdefault(kind, []).append(f"{module} {node.name}".strip())
    return found


class ExecuTorch:
    """ExecuTorch: a program planned ahead of time, XNNPACK's kernels where it has them."""

    name = "executorch"
    batches: Batches = "fixed"
    precisions: Sequence[Precision] = ("float32",)
    reports_operator_times = True

    def missing(self) -> str:
        """The one package."""
        return lacking(("executorch",), "executorch")

    def versions(self) -> dict[str, str]:
        """Of the runtime."""
        return versions_of("executorch")

    def convert(self, job: Job, settings: Settings) -> None:
        """Through torch.export, for this batch."""
        import torch
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        exported = torch.export.export(job.module(), job.example())
        program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch()
        job.artefacts.mkdir(parents=True, exist_ok=True)
        write_whole(job.artefacts / "model.pte", program.buffer)
        write_json(job.artefacts / FALLBACKS, fallbacks_of(program.exported_program().graph))

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """The exported forward method."""
        from executorch.extension.pybindings import portable_lib

        portable_lib._unsafe_reset_threadpool(settings.threads)
        return ExecuTorchSession(job.artefacts, job.example())
