"""Reductions."""

from opclock.sweeps.families import IllegalError, aten, family, tensor
from opclock.tracing.op_call import OpCall


@family
def reduce(
    rows: int, columns: int, operator: str = "mean", axis: int = -1, batch: int = 1, dtype: str = "float32"
) -> OpCall:
    """mean, sum or amax of batch x rows x columns over one axis, which is kept with size one."""
    source = tensor(batch, rows, columns, dtype=dtype)
    if operator == "mean":
        return aten("mean.dim", source, (axis,), True)
    if operator == "sum":
        return aten("sum.dim_IntList", source, (axis,), True)
    if operator == "amax":
        return aten("amax", source, (axis,), True)
    raise IllegalError(f"operator '{operator}': mean, sum or amax")
