"""Makes quantised tensors and packed parameters as a trace describes them."""

from __future__ import annotations

from typing import Any

import torch

from opclock.errors import OpCallError, first_line
from opclock.tracing.op_call import PackedParams, Quantization, TensorSpec

INTEGERS = {"qint8": torch.int8, "quint8": torch.uint8, "qint32": torch.int32}
EMBEDDINGS = {"quint8": torch.quint8, "quint4x2": torch.quint4x2}  # their zero points are floating-point numbers
SPREAD = 100  # random integers lie as far from the zero point, where the dtype allows it


def new_quantized(spec: TensorSpec) -> torch.Tensor:
    """Create a quantised tensor with random values.

    Args:
        spec: with its quantisation. Each channel gets the scale and the zero point of the first one.

    Returns:
        The tensor.

    Raises:
        OpCallError: the dtype cannot be made.
    """
    how = spec.quantization
    assert how is not None
    if how.scheme == "per_channel_affine_float_qparams" and spec.dtype in EMBEDDINGS:
        return _new_embedding(spec, how)
    if spec.dtype not in INTEGERS:
        raise OpCallError(f"a tensor of dtype {spec.dtype} cannot be made: opclock makes {', '.join(INTEGERS)}")
    dtype = INTEGERS[spec.dtype]
    limits = torch.iinfo(dtype)
    lowest, highest = max(limits.min, how.zero_point - SPREAD), min(limits.max, how.zero_point + SPREAD)
    with torch.inference_mode(mode=False):
        whole = torch.empty_strided(spec.shape, spec.stride, dtype=dtype, device=spec.device)
        whole.random_(lowest, highest + 1)
        if how.axis is None:
            made = torch._make_per_tensor_quantized_tensor(whole, how.scale, how.zero_point)
        else:
            channels = spec.shape[how.axis]
            scales = torch.full((channels,), how.scale, dtype=torch.float64)
            zero_points = torch.full((channels,), how.zero_point, dtype=torch.int64)
            made = torch._make_per_channel_quantized_tensor(whole, scales, zero_points, how.axis)
        return made if made.stride() == spec.stride or how.axis is not None else _strided(made, spec)


def _new_embedding(spec: TensorSpec, how: Quantization) -> torch.Tensor:
    assert how.axis is not None
    channels = spec.shape[how.axis]
    with torch.inference_mode(mode=False):
        scales, zero_points = torch.full((channels,), how.scale), torch.full((channels,), float(how.zero_point))
        numbers = (torch.randint(0, 16, spec.shape) - how.zero_point) * how.scale
        return torch.quantize_per_channel(numbers, scales, zero_points, how.axis, EMBEDDINGS[spec.dtype])


def _strided(made: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    """The tensor with the strides of the spec, where PyTorch has made it contiguous."""
    if spec.span > made.numel():
        raise OpCallError(f"a quantised tensor {spec} with gaps in memory cannot be made")
    return made.as_strided(spec.shape, spec.stride)


def packed(value: PackedParams) -> Any:  # noqa: ANN401 - a class of the backend
    """Make packed parameters from random weights, each time in memory of their own.

    Raises:
        OpCallError: this PyTorch lacks the backend, or it cannot make them.
    """
    from opclock.timing.inputs import new_weight

    def built(part: Any) -> Any:  # noqa: ANN401
        if isinstance(part, TensorSpec):
            return new_weight(part, 2)
        if isinstance(part, PackedParams):
            return packed(part)
        return [built(item) for item in part] if isinstance(part, tuple) else part

    before = torch.backends.quantized.engine
    try:
        torch.backends.quantized.engine = value.engine
        with torch.inference_mode(mode=False):
            return getattr(torch.ops.quantized, value.prepack)(*[built(part) for part in value.args])
    except (RuntimeError, AttributeError) as error:
        raise OpCallError(
            f"quantized::{value.prepack} does not run with the backend {value.engine}: {first_line(error)}"
        ) from error
    finally:
        torch.backends.quantized.engine = before
