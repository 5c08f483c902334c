"""Element-wise operators, activations and normalisations."""

from opclock.sweeps.families import IllegalError, aten, contiguous, family, need, tensor, weight
from opclock.tracing.op_call import OpCall, TensorSpec

BINARY = {"add": "add.Tensor", "mul": "mul.Tensor", "sub": "sub.Tensor", "div": "div.Tensor"}
UNARY = (
    "relu", "relu6", "sigmoid", "silu", "gelu", "hardswish", "hardsigmoid", "tanh", "leaky_relu", "exp", "sqrt",
    "hardtanh", "elu", "mish", "rsqrt", "neg", "pow",
)  # fmt: skip


def _shape(batch: int, channels: int, size: int) -> tuple[int, ...]:
    """The shape of an image, or of rows where the size is 0."""
    return (batch, channels, size, size) if size else (batch, channels)


def _other(first: TensorSpec, layout: str, dtype: str) -> TensorSpec | float:
    if layout == "scalar":
        return 0.5
    if layout == "broadcast":
        shape = (first.shape[0], first.shape[1], *(1 for _ in first.shape[2:]))
        return tensor(*shape, dtype=dtype)
    return tensor(*first.shape, dtype=dtype)


@family
def elementwise(
    channels: int,
    size: int = 0,
    operator: str = "add",
    layout: str = "contiguous",
    batch: int = 1,
    dtype: str = "float32",
) -> OpCall:
    """Over batch x channels (x size x size); layout contiguous, broadcast, scalar, in_place, strided, channels_last."""
    shape = _shape(batch, channels, size)
    first = tensor(*shape, dtype=dtype, memory_format=layout if layout == "channels_last" else "contiguous")
    if layout == "strided":  # every other channel of a tensor, as after a channel split
        whole = contiguous((batch, 2 * channels, *shape[2:]))
        first = TensorSpec(shape, (whole[0], 2 * whole[1], *whole[2:]), dtype)
    suffix = "_" if layout == "in_place" else ""
    if operator in BINARY:
        name, _, overload = BINARY[operator].partition(".")
        second = first if layout == "channels_last" else _other(first, layout, dtype)
        return aten(f"{name}{suffix}.{overload}", first, second)
    if operator in UNARY:
        need(layout not in ("broadcast", "scalar"), f"{operator} has one operand")
        if operator == "pow":
            return aten(f"pow{suffix}.{'Scalar' if suffix else 'Tensor_Scalar'}", first, 2)
        arguments = (0.0, 6.0) if operator == "hardtanh" else ()
        return aten(operator + suffix, first, *arguments)
    raise IllegalError(f"operator '{operator}': {', '.join((*BINARY, *UNARY))}")


@family
def norm(
    channels: int,
    size: int = 0,
    operator: str = "batch_norm",
    batch: int = 1,
    dtype: str = "float32",
    memory_format: str = "contiguous",
) -> OpCall:
    """batch_norm over images, layer_norm and softmax over the last of batch x size x channels, group_norm by 8."""
    if operator in ("layer_norm", "softmax"):
        rows = tensor(batch, size or 1, channels, dtype=dtype)
        if operator == "softmax":
            return aten("softmax.int", rows, -1)
        return aten("layer_norm", rows, (channels,), weight(channels, dtype=dtype), weight(channels, dtype=dtype))
    image = tensor(*_shape(batch, channels, size), dtype=dtype, memory_format=memory_format)
    scale = weight(channels, dtype=dtype)
    if operator == "group_norm":
        need(channels % 8 == 0, f"{channels} channels in 8 groups")
        return aten("group_norm", image, 8, scale, scale)
    if operator == "batch_norm":
        statistic = tensor(channels, dtype=dtype)
        return aten("batch_norm", image, scale, scale, statistic, statistic, False, 0.1, 1e-05, True)
    raise IllegalError(f"operator '{operator}': batch_norm, layer_norm, group_norm or softmax")
