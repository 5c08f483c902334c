"""Runs the control flow operators that torch.export understands (torch.cond, while_loop) as Python does."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from torch._functorch.pyfunctorch import dispatch_functorch
from torch._ops import HigherOrderOperator

from opclock.errors import TraceError

PLAYBACK_KEY = torch._C._parse_dispatch_key("TESTING_ONLY_GenericMode")  # kKey in csrc/aten/playback.cpp


@cache
def register_for_playback() -> None:
    """Let a playback run the operators that take functions: it then meets what these call.

    What is registered stays. Nothing but a playback uses its key.
    """
    for name in ("cond", "while_loop", "custom_function_call"):
        operator = getattr(torch.ops.higher_order, name)
        operator.py_impl(PLAYBACK_KEY)(partial(_played, operator))


def _played(operator: HigherOrderOperator, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    if torch._C._are_functorch_transforms_active():  # under torch.vmap, say: they have rules of their own
        return dispatch_functorch(operator, args, kwargs)
    return control_flow(operator, args, kwargs)


def control_flow(operator: HigherOrderOperator, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Run a control flow operator, one branch or step after another.

    Raises:
        TraceError: another operator that takes functions.
    """
    if operator.name() == "cond":
        predicate, if_true, if_false, operands = (*args, *kwargs.values())
        return (if_true if predicate else if_false)(*operands)
    if operator.name() == "while_loop":
        condition, body, carried, additional = (*args, *kwargs.values())
        while condition(*carried, *additional):
            carried = tuple(body(*carried, *additional))
        return carried
    raise TraceError(
        f"the operator {operator.name()}, which takes functions, cannot be recorded: call the functions themselves in "
        "the model that opclock traces"
    )
