"""Views: a new shape for the same data. No data moves, but the call takes time."""

from opclock.sweeps.families import IllegalError, aten, family, tensor
from opclock.tracing.op_call import OpCall


@family
def view(rows: int, columns: int, operator: str = "view", batch: int = 1, dtype: str = "float32") -> OpCall:
    """view, reshape, flatten, transpose, permute, (un)squeeze, slice, select, chunk, split, expand, dropout, detach."""
    source = tensor(batch, rows, columns, dtype=dtype)
    calls = {
        "view": ("view", (batch * rows, columns)),
        "reshape": ("reshape", (batch * rows, columns)),
        "flatten": ("flatten.using_ints", 1),
        "transpose": ("transpose.int", 1, 2),
        "permute": ("permute", (0, 2, 1)),
        "unsqueeze": ("unsqueeze", 1),
        "squeeze": ("squeeze.dim", 0),
        "slice": ("slice.Tensor", 1, 0, max(1, rows // 2)),
        "select": ("select.int", 1, 0),
        "chunk": ("chunk", 2, 1),
        "split": ("split.Tensor", max(1, rows // 2), 1),
        "expand": ("expand", (batch, rows, columns)),
        "dropout": ("dropout", 0.5, False),
        "detach": ("detach",),
    }
    if operator not in calls:
        raise IllegalError(f"operator '{operator}': {', '.join(calls)}")
    name, *rest = calls[operator]
    return aten(str(name), source, *rest)
