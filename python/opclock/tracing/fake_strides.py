"""The strides that PyTorch's kernels give an output, where fake tensors are known to give other ones."""

from __future__ import annotations

from typing import Any

import torch
from torch._prims_common import suggest_memory_format
from torch._subclasses.fake_tensor import unset_fake_temporarily

from opclock.tracing.meta import on_meta
from opclock.tracing.specs import flat_tensors

LIKE_META = ("aten::einsum", "aten::matmul", "aten::tensordot")  # beside views: made of views and a product
IN_ORDER = ("aten::layer_norm", "aten::native_layer_norm")  # contiguous, whatever the strides of the input
IN_FORMAT = ("aten::batch_norm", "aten::group_norm", "aten::roll")  # in the memory format of the input
LIKE_INPUT = (
    "aten::clone", "aten::flip", "aten::prelu", "aten::sort", "aten::empty_like", "aten::full_like", "aten::ones_like",
    "aten::rand_like", "aten::randn_like", "aten::zeros_like",
)  # fmt: skip
POINTWISE = ("aten::hardswish", "aten::floor_divide")  # without PyTorch's tag
ATTENTION = "aten::scaled_dot_product_attention"  # its output on the CPU has the layout of the queries


def argument_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str) -> Any:  # noqa: ANN401
    """What an operator gets for an argument, or the argument's default."""
    for position, argument in enumerate(func._schema.arguments):
        if argument.name == name:
            return args[position] if position < len(args) else kwargs.get(name, argument.default_value)
    return None


def real_strides(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor) -> tuple[int, ...]:  # noqa: ANN401
    """The strides of an operator's output in a real run.

    They differ from those of fake tensors mostly where a dimension has the size one, but a later operator may choose
    its memory format by them.
    """
    name = func._schema.name
    same_shape = bool(args) and isinstance(args[0], torch.Tensor) and output.shape == args[0].shape
    number = _elementwise_with_number(func, args, kwargs)
    if (number or name in LIKE_INPUT) and same_shape and "memory_format" not in kwargs and _is_dense(args[0]):
        return _packed_in_order(args[0]) if number else tuple(args[0].stride())
    with unset_fake_temporarily():
        if name in IN_ORDER or _elementwise_in_order(func, args, kwargs, output):
            return tuple(torch.empty(output.shape, device="meta").stride())
        if name in IN_FORMAT:
            return tuple(
                torch.empty(output.shape, device="meta", memory_format=suggest_memory_format(args[0])).stride()
            )
        if 1 in output.shape and (_is_view(func) or name in LIKE_META or name.startswith("aten::upsample")):
            return tuple(on_meta(func, args, kwargs).stride())
    if name == ATTENTION and output.is_cpu and same_shape:
        dimensions = zip(output.shape, output.stride(), args[0].stride(), strict=True)
        if all(size == 1 or step == queries for size, step, queries in dimensions):
            return tuple(args[0].stride())
    return tuple(output.stride())


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether a tensor's elements lie side by side, in whatever order of its dimensions."""
    step = 1
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def _packed_in_order(tensor: torch.Tensor) -> tuple[int, ...]:
    """Strides without gaps, dimensions in the order of a tensor's strides: what TensorIterator allocates."""
    stride, step = [0] * tensor.dim(), 1
    for dimension in sorted(range(tensor.dim()), key=lambda one: (tensor.stride(one), tensor.shape[one])):
        stride[dimension] = step
        step *= tensor.shape[dimension]
    return tuple(stride)


def _is_view(func: Any) -> bool:  # noqa: ANN401
    """Whether an operator returns a view of its input."""
    schema = func._schema
    return schema.returns[0].alias_info is not None and not schema.is_mutable and schema.name != "aten::to"


def _is_elementwise(func: Any) -> bool:  # noqa: ANN401
    return not func._schema.is_mutable and (torch.Tag.pointwise in func.tags or func._schema.name in POINTWISE)


def _elementwise_with_number(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:  # noqa: ANN401
    """Whether an elementwise operator combines its input with a number, which is an operand without dimensions."""
    return _is_elementwise(func) and not isinstance(argument_of(func, args, kwargs, "other"), torch.Tensor | None)


def _elementwise_in_order(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor) -> bool:  # noqa: ANN401
    """Whether all operands of an elementwise operator have one shape and are contiguous: so is then its output."""
    if not _is_elementwise(func) or _elementwise_with_number(func, args, kwargs):
        return False
    operands = flat_tensors((args, tuple(kwargs.values())))
    return all(operand.shape == output.shape and operand.is_contiguous() for operand in operands)
