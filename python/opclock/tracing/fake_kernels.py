"""Corrects what fake tensors are known to do otherwise than PyTorch's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.utils._pytree import tree_map_only

from opclock.tracing.specs import flat_tensors

LIKE_META = ("aten::einsum", "aten::matmul", "aten::tensordot")  # beside views: made of views and a product
ATTENTION = "aten::scaled_dot_product_attention"  # its output on the CPU has the layout of the queries
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

    Dropout outside training returns its input, but fake tensors copy it. Some outputs with a dimension of size one have
    other strides, and a later convolution chooses its memory format by them.
    """
    if not func._schema.returns or not any(isinstance(given, FakeTensor) for given in flat_tensors(args)):
        return output
    if func._schema.name in ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout") and not args[2]:
        return args[0]
    if not isinstance(output, torch.Tensor) or 1 not in output.shape:
        return output
    stride = _strides(func, args, kwargs, output)
    return output if output.stride() == stride else output.as_strided(output.shape, stride, output.storage_offset())


def _strides(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor) -> tuple[int, ...]:  # noqa: ANN401
    """The strides that PyTorch gives an output with a dimension of size one."""
    name = func._schema.name
    view = func._schema.returns[0].alias_info is not None and not func._schema.is_mutable and name != "aten::to"
    with unset_fake_temporarily():
        if view or name in LIKE_META or name.startswith("aten::upsample"):
            return tuple(on_meta(func, args, kwargs).stride())
    if name == ATTENTION and output.is_cpu and output.shape == args[0].shape:
        dimensions = zip(output.shape, output.stride(), args[0].stride(), strict=True)
        if all(size == 1 or step == queries for size, step, queries in dimensions):
            return tuple(args[0].stride())
    return tuple(output.stride())


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
