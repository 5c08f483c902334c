"""Recurrent layers."""

from opclock.sweeps.families import IllegalError, aten, family, tensor, weight
from opclock.tracing.op_call import OpCall

GATES = {"lstm": 4, "gru": 3}


@family
def recurrent(
    steps: int, width: int, hidden: int, operator: str = "lstm", layers: int = 1, batch: int = 1,
    dtype: str = "float32",
) -> OpCall:  # fmt: skip
    """Lstm or gru over a sequence of batch x steps x width."""
    if operator not in GATES:
        raise IllegalError(f"operator '{operator}': {' or '.join(GATES)}")
    rows = GATES[operator] * hidden
    weights = []
    for layer in range(layers):
        inner = width if layer == 0 else hidden
        weights += [weight(rows, inner, dtype=dtype), weight(rows, hidden, dtype=dtype), weight(rows, dtype=dtype),
                    weight(rows, dtype=dtype)]  # fmt: skip
    state = tensor(layers, batch, hidden, dtype=dtype)
    sequence = tensor(batch, steps, width, dtype=dtype)
    start = (state, state) if operator == "lstm" else state
    return aten(f"{operator}.input", sequence, start, tuple(weights), True, layers, 0.0, False, False, True)
