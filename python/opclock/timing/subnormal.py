"""Says whether a model computes many subnormal numbers, which many processors are slow at.

Op calls are timed on values of opclock's own, which are normal numbers. A model with untrained weights may make its
values smaller from layer to layer until they are subnormal; then no time of its op calls says how long it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from opclock.errors import ModelError, model_errors
from opclock.flags import Flag
from opclock.timing.host_playback import Forward
from opclock.tracing.forward import prepared
from opclock.tracing.specs import flat_tensors

MANY_IN_A_TENSOR = 0.1  # a fraction of its elements: a softmax has some
MANY_IN_A_MODEL = 0.01  # of the elements of all outputs; a MobileViT with 5 % took eight times as long


class _Outputs(TorchDispatchMode):
    """Counts the elements of floating-point outputs, and those in outputs with many subnormal numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = self.subnormal = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None,  # noqa: ANN401
    ) -> Any:  # fmt: skip  # noqa: ANN401
        output = func(*args, **(kwargs or {}))
        for tensor in flat_tensors(output):
            if tensor.is_floating_point() and tensor.device.type == "cpu" and tensor.layout == torch.strided:
                count = _subnormal(tensor)
                self.elements += tensor.numel()
                self.subnormal += count if count > MANY_IN_A_TENSOR * tensor.numel() else 0
        return output


def _subnormal(tensor: torch.Tensor) -> int:
    """How many of its elements are subnormal numbers."""
    size = tensor.detach().abs()
    return int(torch.count_nonzero((size < torch.finfo(tensor.dtype).smallest_normal) & (size > 0)))


def subnormal_flags(forward: Forward | None, device: str) -> tuple[Flag, ...]:
    """Run the model once and look at what its op calls return.

    Args:
        forward: calls the model; None where there is only its trace.
        device: that it runs on. Other devices than the CPU take no longer for subnormal numbers.

    Returns:
        ("subnormal",) where more than 1 % of all numbers that op calls return lie in tensors with many subnormal
        ones, else (). A model that cannot be run says nothing.
    """
    if forward is None or device != "cpu":
        return ()
    outputs = _Outputs()
    with suppress(ModelError), model_errors("the model"), prepared(forward), outputs:
        forward()
    return ("subnormal",) if outputs.subnormal > MANY_IN_A_MODEL * outputs.elements else ()
