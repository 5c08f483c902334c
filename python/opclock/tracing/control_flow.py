"""Runs the control flow operators that torch.export understands (torch.cond, while_loop) as Python does."""

from __future__ import annotations

from typing import Any

from torch._ops import HigherOrderOperator

from opclock.errors import TraceError


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
