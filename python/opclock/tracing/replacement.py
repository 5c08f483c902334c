"""Puts other element-wise operators in place of a trace's, to ask what they would change. Needs no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from opclock.errors import TraceError
from opclock.tracing.op_call import OpCall

if TYPE_CHECKING:
    from opclock.tracing.trace import Trace, TracedCall

# By operator without namespace and trailing underscore: the first arguments without which it cannot be called. What it
# answers has their shape. All other arguments have defaults.
NEEDED = {
    **dict.fromkeys(
        ("relu", "relu6", "hardtanh", "sigmoid", "hardsigmoid", "silu", "gelu", "hardswish", "mish", "tanh",
         "leaky_relu", "elu", "selu", "celu", "softplus", "log_sigmoid", "sqrt", "rsqrt", "exp", "log", "neg", "abs",
         "reciprocal", "sin", "cos", "erf", "square", "floor", "ceil", "round", "sign"), 1),
    **dict.fromkeys(("add", "sub", "mul", "div"), 2),
}  # fmt: skip


def replaced(trace: Trace, operators: Mapping[str, str]) -> Trace:
    """See ``Trace.replace``."""
    for old, new in operators.items():
        _check(trace, old, new)
    calls = tuple(
        _replaced(traced, operators[traced.call.operator]) if traced.call.operator in operators else traced
        for traced in trace.calls
    )
    what = ", ".join(f"{new} for {old}" for old, new in operators.items())
    return replace(trace, calls=calls, model=f"{trace.model} with {what}" if what else trace.model)


def _replaced(traced: TracedCall, operator: str) -> TracedCall:
    call = traced.call
    new = OpCall(operator, call.overload, call.args[: NEEDED[_plain(operator)]])
    return replace(traced, call=new, recorded_operator=traced.recorded_operator or call.operator)


def _plain(operator: str) -> str:
    return operator.rpartition("::")[2].removesuffix("_")


def _check(trace: Trace, old: str, new: str) -> None:
    """Raise TraceError where the model does not call the old operator, or the new one cannot stand in its place."""
    called = Counter(traced.call.operator for traced in trace.calls)
    if old not in called:
        fitting = [name for name in called if _plain(name) in NEEDED] or list(called)
        raise TraceError(f"{trace.model} does not call {old!r}; it calls {', '.join(sorted(fitting))}")
    for name in (old, new):
        if not name.startswith("aten::") or _plain(name) not in NEEDED:
            raise TraceError(
                f"{name!r} cannot be replaced, nor replace another: only operators of one or two tensors whose answer "
                f"has their shape can ({', '.join(NEEDED)}); change the model for others"
            )
    if NEEDED[_plain(old)] != NEEDED[_plain(new)]:
        raise TraceError(f"{old!r} takes {NEEDED[_plain(old)]} tensors, {new!r} takes {NEEDED[_plain(new)]}")
    if old.endswith("_") != new.endswith("_"):
        wanted = f"{new}_" if old.endswith("_") else new.removesuffix("_")
        raise TraceError(f"{old!r} and {new!r}: one of them writes into its argument, the other does not; try {wanted}")
