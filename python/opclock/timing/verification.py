"""Compares the answer of the timed path with PyTorch's. Op calls with another answer are not timed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from opclock.errors import OpCallError, first_line
from opclock.timing.inputs import Bound, find_operator
from opclock.tracing.op_call import OpCall
from opclock.tracing.trace import TracedCall

TOLERANCE = 1e-4  # relative and absolute: kernels may add in a different order
HALF_TOLERANCE = 1e-2  # for numbers with fewer than 32 bits


@contextmanager
def operator_errors(operator: str) -> Iterator[None]:
    """Convert the extension's errors inside the block to OpCallError, which names the operator."""
    try:
        yield
    except ValueError as error:  # names it already
        raise OpCallError(f"cannot time {error}") from error
    except (RuntimeError, MemoryError) as error:
        raise OpCallError(f"cannot time {operator}: {first_line(error)}") from error


def overwritten(traced: TracedCall) -> list[int]:
    """Numbers of the tensor arguments that the op call writes. They are restored before each sample."""
    return [i for i, number in enumerate(traced.reads) if number in traced.writes]


def _restore(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    with torch.inference_mode():
        for tensor, pristine in pairs:
            tensor.copy_(pristine)


def check_answer(
    pool: Any, number: int, call: OpCall, bound: Bound, restored: Sequence[tuple[torch.Tensor, torch.Tensor]],  # noqa: ANN401
) -> float:  # fmt: skip
    """Compare the answer of the timed path with PyTorch's.

    Args:
        pool: the compiled pool.
        number: the op call's number in the pool.
        call: the op call.
        bound: its arguments.
        restored: tensors that it overwrites, each with its initial values.

    Returns:
        The wall seconds that the two runs took.

    Raises:
        OpCallError: the answers differ.
    """
    operator = find_operator(call)
    _restore(restored)  # another call of the model may have written the buffer that they share
    start = time.perf_counter()
    with operator_errors(call.operator):
        ours = pool.answer(number)
    spent_s = time.perf_counter() - start
    if torch.Tag.nondeterministic_seeded in operator.tags or "empty" in call.name:
        return spent_s
    ours = [item.clone() if isinstance(item, torch.Tensor) else item for item in ours]
    _restore(restored)
    start = time.perf_counter()
    with torch.inference_mode():
        answer = operator(*bound.args, **bound.kwargs)
    spent_s += time.perf_counter() - start
    theirs = list(answer) if isinstance(answer, tuple) and len(ours) != 1 else [answer] if ours else []
    if not all(_agree(left, right) for left, right in zip(ours, theirs, strict=True)):
        raise OpCallError(f"{call} gives another answer through opclock than through PyTorch: not timed; "
                          "please report it")  # fmt: skip
    return spent_s


def _agree(left: object, right: object) -> bool:
    """Whether two outputs are equal except for rounding. Outputs that are not tensors pass."""
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return True
    tolerance = HALF_TOLERANCE if left.element_size() < 4 else TOLERANCE
    return torch.equal(left, right) or torch.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True)
