"""Values that a model's Python reads: small integer and boolean outputs of its op calls, from one real run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from opclock.tracing.disguise import untraced
from opclock.tracing.execution import RealExecution
from opclock.tracing.forward import prepared
from opclock.tracing.model_inputs import CallInputs
from opclock.tracing.op_recorder import OpRecorder
from opclock.tracing.trace import Trace

MOST_ELEMENTS = 4096  # lengths, sizes and positions: what Python reads is small


class _KeepingExecution(RealExecution):
    """Runs every operator and keeps what Python may read of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[Any, ...]] = []

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """See ``Execution``."""
        output = super().run(func, args, kwargs)
        kept = tree_map_only(torch.Tensor, _readable, output)
        self.outputs.append(tuple(kept) if len(func._schema.returns) > 1 else (kept,))
        return output


def _readable(tensor: torch.Tensor) -> torch.Tensor | None:
    """A tensor of its own on the same memory: PyTorch calls ``detach`` on outputs that somebody else holds."""
    if tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized or not tensor.is_cpu:
        return None
    if tensor.numel() > MOST_ELEMENTS:
        return None
    own = torch.empty(0, dtype=tensor.dtype)
    return own.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())


def readable_outputs(forward: Callable[[], object], trace: Trace) -> list[tuple[Any, ...]]:
    """Run a model as often as it takes to follow its trace, twice at most, and keep its small integers and booleans.

    Args:
        forward: runs the model.
        trace: its trace.

    Returns:
        The outputs of each op call in order, with None in place of what is not kept; an empty list where the model does
        not follow its trace.
    """
    traced = [(one.call.operator, one.call.overload) for one in trace.calls]
    for _run in range(2):
        execution = _KeepingExecution()
        recorder = OpRecorder(torch.nn.Module(), CallInputs((), {}), execution)
        with prepared(forward), untraced(), recorder:
            forward()
        if [(one.call.operator, one.call.overload) for one in recorder.calls] == traced:
            return execution.outputs
    return []
