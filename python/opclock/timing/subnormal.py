"""Says whether a model computes many subnormal numbers, which many processors are slow at.

Op calls are timed on values of opclock's own, which are normal numbers. A model with untrained weights may make its
values smaller from layer to layer until they are subnormal; then no time of its op calls says how long it takes.
Operators that compute a power of what they are given compute subnormal numbers long before: with values around 1e-20 a
SiLU took 15 times as long (an EfficientNet with random weights, whose estimates were 5 to 11 % too low).
"""

from __future__ import annotations

import math
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
# Operators that compute a polynomial of each element, for an exponential.
POWERS = ("silu", "sigmoid", "tanh", "gelu", "mish", "softplus", "elu", "log_sigmoid_forward")


class _Outputs(TorchDispatchMode):
    """Counts the elements of floating-point outputs, and those of op calls that compute many subnormal numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = self.subnormal = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None,  # noqa: ANN401
    ) -> Any:  # fmt: skip  # noqa: ANN401
        name = func._schema.name.rpartition("::")[2].removesuffix("_")
        of_powers = sum(map(_many_small_squares, flat_tensors(args))) if name in POWERS else 0  # before it is changed
        output = func(*args, **(kwargs or {}))
        outputs = [tensor for tensor in flat_tensors(output) if _counts(tensor)]
        self.elements += sum(tensor.numel() for tensor in outputs)
        self.subnormal += max(of_powers, sum(map(_many_subnormal, outputs)))
        return output


def _counts(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.device.type == "cpu" and tensor.layout == torch.strided


def _many_subnormal(tensor: torch.Tensor) -> int:
    """How many of its elements are subnormal numbers; 0 where they are few."""
    return _many_below(tensor, torch.finfo(tensor.dtype).smallest_normal)


def _many_small_squares(tensor: torch.Tensor) -> int:
    """How many of its elements have squares that are subnormal numbers in the type that kernels compute in."""
    if not _counts(tensor):
        return 0
    computed = tensor.dtype if tensor.dtype == torch.float64 else torch.float32
    return _many_below(tensor, math.sqrt(torch.finfo(computed).smallest_normal))


def _many_below(tensor: torch.Tensor, limit: float) -> int:
    size = tensor.detach().abs()
    count = int(torch.count_nonzero((size < limit) & (size > 0)))
    return count if count > MANY_IN_A_TENSOR * tensor.numel() else 0


def subnormal_flags(forward: Forward | None, device: str) -> tuple[Flag, ...]:
    """Run the model once and look at what its op calls return.

    Args:
        forward: calls the model; None where there is only its trace.
        device: that it runs on. Other devices than the CPU take no longer for subnormal numbers.

    Returns:
        ("subnormal",) where op calls compute many subnormal numbers for more than 1 % of all numbers that they
        return, else (). A model that cannot be run says nothing.
    """
    if forward is None or device != "cpu":
        return ()
    outputs = _Outputs()
    with suppress(ModelError), model_errors("the model"), prepared(forward), outputs:
        forward()
    return ("subnormal",) if outputs.subnormal > MANY_IN_A_MODEL * outputs.elements else ()
