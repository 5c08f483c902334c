"""The table of a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from opclock.formatting import BYTES, COUNT, counted, quantity
from opclock.report.table import Table, numbers, texts
from opclock.tracing.macs import macs, model_macs, uncounted
from opclock.tracing.operator_classes import class_of

if TYPE_CHECKING:
    from opclock.tracing.trace import Trace


def summary(trace: Trace) -> str:
    """The size of the model in one line."""
    # A frozen TorchScript holds its weights as constants.
    hidden = not trace.parameters and any(storage.kind == "weight" for storage in trace.storages)
    parameters = "" if hidden else f"{quantity(trace.parameters, COUNT)} parameters, "
    return (
        f"{trace.model} {trace.input_text}: {counted(len(trace.calls), 'op call')}, {len(trace.unique)} distinct, "
        f"{quantity(model_macs(trace), COUNT)} MACs, {parameters}working set {quantity(trace.working_set, BYTES)}"
    )


def uncounted_sentence(operators: Iterable[str]) -> str:
    """Say which operators the MACs leave out."""
    return f"the MACs leave out {', '.join(operators)}: opclock does not count what they multiply"


def table(trace: Trace) -> Table:
    """One row for each operator, the most frequent first."""
    counts = Counter(call.call.operator for call in trace.calls)
    work: Counter[str] = Counter()
    for call in trace.calls:
        work[call.call.operator] += macs(call)
    unknown = uncounted(trace)
    classes = {call.call.operator: class_of(call.call) for call in trace.calls}
    operators = [operator for operator, _ in counts.most_common()]
    return Table([
        texts("operator", operators),
        texts("class", [classes[operator] for operator in operators], 1),
        numbers("calls", [counts[operator] for operator in operators], COUNT, 2),
        numbers("MACs", [None if operator in unknown else work[operator] for operator in operators], COUNT, 1),
    ])  # fmt: skip
