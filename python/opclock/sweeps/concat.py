"""Joins and splits tensors."""

from opclock.sweeps.families import IllegalError, aten, contiguous, family, need, tensor
from opclock.tracing.op_call import OpCall, TensorSpec


@family
def concat(
    channels: int,
    size: int,
    inputs: int = 2,
    axis: int = 1,
    operator: str = "cat",
    layout: str = "contiguous",
    batch: int = 1,
    dtype: str = "float32",
) -> OpCall:
    """Cat or stack tensors of batch x channels x size x size, or split into as many; layout contiguous or strided."""
    need(inputs > 0, f"{inputs} inputs")
    need(0 <= axis < 4, f"axis {axis} of four")
    shape = (batch, channels, size, size)
    part = tensor(*shape, dtype=dtype)
    if layout == "strided":  # the first half of each row of channels
        part = TensorSpec(shape, contiguous((batch, 2 * channels, size, size)), dtype)
    elif layout != "contiguous":
        raise IllegalError(f"layout '{layout}': contiguous or strided")
    if operator in ("cat", "stack"):
        return aten(operator, (part,) * inputs, axis)
    if operator == "split":
        need(shape[axis] % inputs == 0, f"{shape[axis]} into {inputs} parts")
        return aten("split_copy.Tensor", part, shape[axis] // inputs, axis)
    raise IllegalError(f"operator '{operator}': cat, stack or split")


@family
def pad(channels: int, size: int, around: int = 1, batch: int = 1, dtype: str = "float32") -> OpCall:
    """Add zeros around an image."""
    return aten("pad", tensor(batch, channels, size, size, dtype=dtype), (around,) * 4, "constant", 0.0)
