"""Corrects what fake tensors are known to do otherwise than PyTorch's kernels, or slowly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from opclock.tracing.fake_strides import argument_of, real_strides
from opclock.tracing.specs import flat_tensors

FAST_ATTENTION = "aten::_native_multi_head_attention"  # its second output is None where nobody asks for the weights
GROUPED_ALIGNMENT_BYTES = 16  # of each row of a grouped product


def as_really(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:  # noqa: ANN401
    """Correct an output where fake tensors are known to differ from PyTorch's kernels.

    Dropout outside training returns its input, but fake tensors copy it. Some outputs with a dimension of size one have
    other strides, and a later convolution chooses its memory format by them.
    """
    if not func._schema.returns or not any(isinstance(given, FakeTensor) for given in flat_tensors(args)):
        return output
    name = func._schema.name
    if name in ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout") and not args[2]:
        return args[0]
    if name == FAST_ATTENTION and not argument_of(func, args, kwargs, "need_weights"):
        return output[0], None
    if name == "aten::sort":
        return tuple(_restrided(func, args, kwargs, one) for one in output)
    return _restrided(func, args, kwargs, output) if isinstance(output, torch.Tensor) else output


def _restrided(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    stride = real_strides(func, args, kwargs, output)
    return output if output.stride() == stride else output.as_strided(output.shape, stride, output.storage_offset())


def _grouped_mm(
    left: torch.Tensor, right: torch.Tensor, offs: torch.Tensor | None = None, bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> torch.Tensor:  # fmt: skip
    """The output of ``aten::_grouped_mm``: fake tensors take it for bfloat16 only, the CPU for other dtypes too."""
    columns = right.shape[-1]
    shape: tuple[int, ...] = (left.shape[-2], columns)
    if left.dim() == right.dim():  # one product a group
        shape = (len(offs) if left.dim() == 2 and offs is not None else left.shape[0], *shape)
    dtype = out_dtype or left.dtype
    multiple = GROUPED_ALIGNMENT_BYTES // dtype.itemsize
    row = -(-columns // multiple) * multiple
    stride = (row, 1) if len(shape) == 2 else (shape[1] * row, row, 1)
    return torch.empty_strided(shape, stride, dtype=dtype, device=left.device)


def _batch_norm(
    input: torch.Tensor, weight: torch.Tensor | None, bias: torch.Tensor | None, running_mean: torch.Tensor | None,  # noqa: A002
    running_var: torch.Tensor | None, training: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> torch.Tensor:  # fmt: skip
    """The output of ``aten::batch_norm``, whose decomposition takes a third of the time of tracing."""
    channels = [one.numel() for one in (weight, bias, running_mean, running_var) if one is not None]
    if training or running_mean is None or input.dim() < 2 or set(channels) != {input.shape[1]}:
        computed: torch.Tensor = torch.ops.aten.batch_norm.default(
            input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled
        )
        return computed
    return torch.empty_like(input)


# The outputs of operators that fake tensors refuse or take long for, by operator.
FAKE_KERNELS: dict[str, Callable[..., Any]] = {"aten::_grouped_mm": _grouped_mm, "aten::batch_norm": _batch_norm}
