"""Convolutions."""

from opclock.sweeps.families import aten, family, need, pair, tensor, weight
from opclock.tracing.op_call import OpCall


@family
def conv2d(
    in_channels: int,
    out_channels: int,
    size: int | tuple[int, ...],
    kernel: int | tuple[int, ...] = 3,
    stride: int = 1,
    padding: int | str = "same",
    dilation: int = 1,
    groups: int | str = 1,
    bias: bool = False,
    batch: int = 1,
    dtype: str = "float32",
    memory_format: str = "contiguous",
) -> OpCall:
    """Two-dimensional convolution; groups may be "depthwise", padding "same" keeps the size at stride 1."""
    height, width = pair(size)
    down, across = pair(kernel)
    count = in_channels if groups == "depthwise" else groups
    need(isinstance(count, int), f"groups '{groups}': a number or depthwise")
    assert isinstance(count, int)
    need(in_channels % count == 0, f"{in_channels} in_channels in {count} groups")
    need(out_channels % count == 0, f"{out_channels} out_channels in {count} groups")
    around = tuple(side // 2 * dilation for side in (down, across)) if padding == "same" else (padding, padding)
    return aten(
        "conv2d",
        tensor(batch, in_channels, height, width, dtype=dtype, memory_format=memory_format),
        weight(out_channels, in_channels // count, down, across, dtype=dtype, memory_format=memory_format),
        weight(out_channels, dtype=dtype) if bias else None,
        (stride, stride),
        around,
        (dilation, dilation),
        count,
    )


@family
def conv1d(
    in_channels: int,
    out_channels: int,
    length: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    bias: bool = True,
    batch: int = 1,
    dtype: str = "float32",
) -> OpCall:
    """One-dimensional convolution without padding."""
    need(in_channels % groups == 0 and out_channels % groups == 0, f"{in_channels} channels in {groups} groups")
    return aten(
        "conv1d",
        tensor(batch, in_channels, length, dtype=dtype),
        weight(out_channels, in_channels // groups, kernel, dtype=dtype),
        weight(out_channels, dtype=dtype) if bias else None,
        (stride,),
        (0,),
        (1,),
        groups,
    )


@family
def conv_transpose2d(
    in_channels: int,
    out_channels: int,
    size: int,
    kernel: int = 2,
    stride: int = 2,
    bias: bool = True,
    batch: int = 1,
    dtype: str = "float32",
) -> OpCall:
    """Transposed two-dimensional convolution, as decoders upsample with."""
    return aten(
        "conv_transpose2d.input",
        tensor(batch, in_channels, size, size, dtype=dtype),
        weight(in_channels, out_channels, kernel, kernel, dtype=dtype),
        weight(out_channels, dtype=dtype) if bias else None,
        (stride, stride),
    )
