"""Finds PyTorch's operators and constants by their recorded names."""

from __future__ import annotations

from typing import Any

import torch

from opclock.errors import OpCallError
from opclock.tracing.op_call import NamedConstant, OpCall


def named_constant(named: NamedConstant) -> Any:  # noqa: ANN401
    """The PyTorch object with a recorded name. Raises OpCallError for a name that this torch lacks."""
    if named.kind == "device":
        return torch.device(named.name)
    try:
        return getattr(torch, named.name)
    except AttributeError:
        raise OpCallError(f"this torch {torch.__version__} has no {named.kind} '{named.name}'") from None


def find_operator(call: OpCall) -> Any:  # noqa: ANN401
    """PyTorch's operator of a call. Raises AttributeError where PyTorch lacks it."""
    namespace, _, name = call.operator.partition("::")
    return getattr(getattr(getattr(torch.ops, namespace), name), call.overload or "default")


def changes_layout(call: OpCall) -> bool:
    """Whether the operator changes shape or strides of its argument in place, and no data, as ``t_`` does."""
    try:
        return torch.Tag.inplace_view in find_operator(call).tags
    except (AttributeError, RuntimeError):
        return False
