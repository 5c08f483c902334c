"""Corrects what fake tensors are known to do otherwise than PyTorch's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.utils._pytree import tree_map_only

GROUPED_ALIGNMENT_BYTES = 16  # of each row of a grouped product


def without_generators(value: Any) -> Any:  # noqa: ANN401
    """Arguments without random generators: fake tensors draw no numbers."""
    return tree_map_only(torch.Generator, lambda _generator: None, value)


def on_meta(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Run an operator on tensors without data, outside any mode."""

    def bare(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")

    args, kwargs = without_generators(tree_map_only(torch.Tensor, bare, (args, kwargs)))
    if any(argument.name == "device" for argument in func._schema.arguments):
        kwargs = {**kwargs, "device": "meta"}
    return func(*args, **kwargs)


def as_really(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:  # noqa: ANN401
    """Correct an output where fake tensors are known to differ from PyTorch's kernels.

    Dropout outside training returns its input, but fake tensors copy it. Views and resized images with a dimension of
    size one have other strides, and a later convolution chooses its memory format by them.
    """
    given = args[0] if args else None
    if not isinstance(given, FakeTensor) or not func._schema.returns:
        return output
    if func._schema.name in ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout") and not args[2]:
        return given
    view = func._schema.returns[0].alias_info is not None and not func._schema.is_mutable
    known = (view and func._schema.name != "aten::to") or func._schema.name.startswith("aten::upsample")
    if not known or not isinstance(output, torch.Tensor) or 1 not in output.shape:
        return output
    with unset_fake_temporarily():
        stride = on_meta(func, args, kwargs).stride()
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


# The outputs of operators that fake tensors refuse, by operator.
FAKE_KERNELS: dict[str, Callable[..., Any]] = {"aten::_grouped_mm": _grouped_mm}
