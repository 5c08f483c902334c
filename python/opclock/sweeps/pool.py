"""Pooling."""

from opclock.sweeps.families import IllegalError, aten, family, tensor
from opclock.tracing.op_call import OpCall


@family
def pool(
    channels: int,
    size: int,
    operator: str = "max",
    kernel: int = 2,
    stride: int = 2,
    padding: int = 0,
    batch: int = 1,
    dtype: str = "float32",
    memory_format: str = "contiguous",
) -> OpCall:
    """Pool by windows with max or avg, or adaptive to kernel x kernel."""
    image = tensor(batch, channels, size, size, dtype=dtype, memory_format=memory_format)
    if operator == "adaptive":
        return aten("adaptive_avg_pool2d", image, (kernel, kernel))
    if operator in ("max", "avg"):
        return aten(f"{operator}_pool2d", image, (kernel, kernel), (stride, stride), (padding, padding))
    raise IllegalError(f"operator '{operator}': max, avg or adaptive")
