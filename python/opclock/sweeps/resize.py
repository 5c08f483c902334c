"""Resampling images."""

from opclock.sweeps.families import IllegalError, aten, family, tensor
from opclock.tracing.op_call import OpCall


@family
def resize(
    channels: int,
    size: int,
    scale: int = 2,
    mode: str = "bilinear",
    batch: int = 1,
    dtype: str = "float32",
    memory_format: str = "contiguous",
) -> OpCall:
    """Upsample by a factor: nearest, bilinear or bicubic."""
    image = tensor(batch, channels, size, size, dtype=dtype, memory_format=memory_format)
    target = (size * scale, size * scale)
    if mode == "nearest":
        return aten("upsample_nearest2d.vec", image, target, None)
    if mode in ("bilinear", "bicubic"):
        return aten(f"upsample_{mode}2d.vec", image, target, False, None)
    raise IllegalError(f"mode '{mode}': nearest, bilinear or bicubic")
