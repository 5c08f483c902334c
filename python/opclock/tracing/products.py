"""MACs of products, from shapes alone. One MAC is one multiply and one add: two FLOPs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Shape = tuple[int, ...]


def convolution(weight: Shape, output: Shape) -> int:
    """MACs of a convolution: batch x C_out x spatial_out x (C_in / groups) x kernel.

    Args:
        weight: shape (C_out, C_in / groups, *kernel).
        output: shape (batch, C_out, *spatial_out).
    """
    return math.prod(output) * math.prod(weight[1:])


def transposed_convolution(weight: Shape, source: Shape) -> int:
    """MACs of a transposed convolution: batch x C_in x spatial_in x (C_out / groups) x kernel.

    Args:
        weight: shape (C_in, C_out / groups, *kernel).
        source: shape of the input, (batch, C_in, *spatial_in).
    """
    return math.prod(source) * math.prod(weight[1:])


def matmul(left: Shape, right: Shape) -> int:
    """MACs of a matrix product: rows x inner x columns, times the broadcast batch.

    Args:
        left: shape of the first operand, of any rank that torch.matmul takes.
        right: shape of the second operand.
    """
    if len(left) == 1:
        left = (1, *left)
    if len(right) == 1:
        right = (*right, 1)
    *left_batch, rows, inner = left
    *right_batch, _, columns = right
    return math.prod(broadcast(left_batch, right_batch)) * rows * inner * columns


def broadcast(left: Sequence[int], right: Sequence[int]) -> Shape:
    """The shape that two shapes broadcast to, by NumPy's rules."""
    rank = max(len(left), len(right))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in (left, right)]
    return tuple(b if a == 1 else a for a, b in zip(*padded, strict=True))


def attention(output: Shape, key: Shape) -> int:
    """MACs of attention's scores and weighted sum: queries x keys x (key width + value width), times batch and heads.

    Args:
        output: shape (batch, heads of the query, queries, value width). Several of these heads may share one key head.
        key: shape (..., keys, key width).
    """
    return math.prod(output[:-1]) * key[-2] * (key[-1] + output[-1])


def chain(shapes: Sequence[Shape]) -> int:
    """MACs of a chain of matrix products in the cheapest order, in which ``torch.linalg.multi_dot`` multiplies.

    Source: Cormen et al., Introduction to Algorithms, section 15.2.

    Args:
        shapes: of the matrices. The first may be a row and the last a column of rank 1.
    """
    first = (1, *shapes[0]) if len(shapes[0]) == 1 else shapes[0]
    sizes = [first[0], *(shape[0] for shape in shapes[1:]), *(shapes[-1][1:] or (1,))]
    count = len(shapes)
    cost = [[0] * count for _ in range(count)]
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i][j] = min(cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j))
    return cost[0][-1]


def einsum(equation: str, shapes: Sequence[Shape], path: Sequence[int] = ()) -> int:
    """MACs of an einsum, which PyTorch computes two operands at a time.

    One step costs the product of the sizes of all indices that its two operands have. An index that no other operand
    and not the result has is summed before.

    Args:
        equation: such as "bij,bjk->bik".
        shapes: the operands' shapes.
        path: numbers of the two operands of each step, one pair after the other; the result becomes the last operand.
            Without it, the first two operands are next.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    operands = [_indices(term, len(shape)) for term, shape in zip(left.split(","), shapes, strict=True)]
    sizes: dict[str, int] = {}
    for operand, shape in zip(operands, shapes, strict=True):
        for index, size in zip(operand, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 1))
    every = [index for operand in operands for index in operand]
    implied = [index for index in every if every.count(index) == 1 or index.startswith(".")]
    ellipsis = [index for index in every if index.startswith(".")]
    kept = {*right.replace("...", ""), *(ellipsis if "..." in right else ())} if arrow else set(implied)
    return _by_pairs([set(operand) for operand in operands], kept, sizes, path)


def _by_pairs(operands: list[set[str]], kept: set[str], sizes: Mapping[str, int], path: Sequence[int]) -> int:
    total, steps = 0, iter(path)
    while len(operands) > 1:
        pair = sorted((next(steps), next(steps)) if path else (0, 1))
        right, left = operands.pop(pair[1]), operands.pop(pair[0])
        needed = kept.union(*operands)
        total += math.prod(sizes[index] for index in left & right | (left | right) & needed)
        result = (left | right) & needed
        operands.insert(len(operands) if path else 0, result)
    return total


def _indices(term: str, rank: int) -> list[str]:
    """The index of each dimension. Those of an ellipsis are counted from its last: "...ab" → [".1", ".0", "a", "b"]."""
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return [*before, *(f".{i}" for i in reversed(range(hidden))), *after]
