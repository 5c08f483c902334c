"""Looks up rows of a table."""

from opclock.sweeps.families import IllegalError, aten, family, tensor, weight
from opclock.tracing.op_call import OpCall


@family
def index(rows: int, columns: int, picks: int, operator: str = "embedding", dtype: str = "float32") -> OpCall:
    """Look up random rows of a table: embedding or index_select."""
    table = weight(rows, columns, dtype=dtype)
    if operator == "embedding":
        return aten("embedding", table, tensor(1, picks, dtype="int64"))
    if operator == "index_select":
        return aten("index_select", table, 0, tensor(picks, dtype="int64"))
    raise IllegalError(f"operator '{operator}': embedding or index_select")
