"""Compares the answer of the timed path with PyTorch's. Op calls with another answer, or with none, are not timed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from opclock.errors import OpCallError, first_line, is_out_of_memory
from opclock.timing.inputs import Bound, RefusedError, Restored, refused
from opclock.timing.operators import changes_layout, find_operator
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import TracedCall

TOLERANCE = 1e-4  # relative and absolute: kernels may add in a different order
HALF_TOLERANCE = 1e-2  # for numbers with fewer than 32 bits


@contextmanager
def operator_errors(operator: str) -> Iterator[None]:
    """Convert the extension's errors inside the block to RefusedError, or OpCallError where memory is short."""
    try:
        yield
    except ValueError as error:  # names it already
        raise RefusedError(f"cannot time {error}") from error
    except (RuntimeError, MemoryError) as error:
        kind = OpCallError if is_out_of_memory(error) else RefusedError
        raise kind(f"cannot time {operator}: {first_line(error)}") from error


def overwritten(traced: TracedCall) -> list[int]:
    """Numbers of the tensor arguments that the op call changes. They are restored before each sample."""
    return [i for i, number in enumerate(traced.reads) if number in traced.writes]


def _restore(pairs: Sequence[Restored], call: OpCall) -> None:
    with torch.inference_mode():
        for tensor, first in pairs:
            if changes_layout(call):
                tensor.set_(first)  # type: ignore[call-overload]  # torch declares it without this overload
            else:
                tensor.resize_(first.shape).copy_(first)


def pytorch_answer(call: OpCall, bound: Bound, restored: Sequence[Restored]) -> tuple[object, float]:
    """Run an op call through PyTorch.

    Args:
        call: the op call.
        bound: its arguments.
        restored: tensors that it changes, each as it was at first (see ``Arguments.first``).

    Returns:
        A copy of its output, and the wall seconds that it took.

    Raises:
        RefusedError: it raises, or gives an argument another size, as an observer does that has seen nothing yet.
        OpCallError: memory is short.
    """
    _restore(restored, call)  # another call of the model may have written the buffer that they share
    start = time.perf_counter()
    try:
        with torch.inference_mode():
            output = find_operator(call)(*bound.args, **bound.kwargs)
    except Exception as error:  # a kernel may raise anything where it is given what it does not accept
        raise refused(error, call) from error
    answer, spent_s = _copy(output), time.perf_counter() - start
    grown = not changes_layout(call) and any(tensor.shape != first.shape for tensor, first in restored)
    _restore(restored, call)  # the timed path binds an argument in the shape that the model gives it
    if grown:
        raise RefusedError("its first run gives an argument another size; run the model once before opclock has it")
    return answer, spent_s


def check_answer(pool: Any, number: int, call: OpCall, restored: Sequence[Restored], answer: object) -> float:  # noqa: ANN401
    """Compare the answer of the timed path with PyTorch's.

    Args:
        pool: the compiled pool.
        number: the op call's number in the pool.
        call: the op call.
        restored: tensors that it changes, each as it was at first.
        answer: PyTorch's.

    Returns:
        The wall seconds that the run took.

    Raises:
        RefusedError: the timed path raises.
        OpCallError: the answers differ.
    """
    _restore(restored, call)
    start = time.perf_counter()
    with operator_errors(call.operator):
        ours = pool.answer(number)
    spent_s = time.perf_counter() - start
    if torch.Tag.nondeterministic_seeded in find_operator(call).tags or "empty" in call.name:
        return spent_s
    theirs = list(answer) if isinstance(answer, tuple) and len(ours) != 1 else [answer] if ours else []
    if not all(_agree(left, right) for left, right in zip(ours, theirs, strict=True)):
        raise OpCallError(f"{call} gives another answer through opclock than through PyTorch: not timed; "
                          "please report it")  # fmt: skip
    return spent_s


def _copy(output: object) -> object:
    """A copy that stays as it is when the op call runs again."""
    if isinstance(output, torch.Tensor):
        memory = _memory_of(output)
        return output.clone() if memory is output else memory.clone().as_strided(output.shape, output.stride())
    if isinstance(output, tuple):
        return tuple(_copy(item) for item in output)
    return [_copy(item) for item in output] if isinstance(output, list) else output


def _memory_of(tensor: torch.Tensor) -> torch.Tensor:
    """The elements of an expanded tensor once each, in the order of memory; any other tensor as it is.

    A view that expands a tensor or cuts it into windows may have millions of times the elements of its memory.
    """
    span = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor if span >= tensor.numel() else tensor.as_strided((span,), (1,))


def _agree(left: object, right: object) -> bool:
    """Whether two outputs are equal: floating-point numbers except for rounding, NaN only where both have it.

    Lists of tensors are compared one by one. Integers, which may be indices, and booleans must be the same.
    """
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(_agree(*pair) for pair in zip(left, right, strict=True))
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return _same_values(left, right)
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    return left == right or (numbers and left != left and right != right)  # noqa: PLR0124 (NaN is not itself)


def _same_values(left: torch.Tensor, right: torch.Tensor) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.stride() == right.stride():
        left, right = _memory_of(left), _memory_of(right)
    if left.is_quantized:
        left, right = left.dequantize(), right.dequantize()
    if not left.is_floating_point() and not left.is_complex():
        return torch.equal(left, right)
    bits = left.element_size() * (4 if left.is_complex() else 8)  # of the real part
    tolerance = HALF_TOLERANCE if bits < 32 else TOLERANCE
    return torch.equal(left, right) or torch.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True)
