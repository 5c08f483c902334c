"""Makes values that kernels accept, such as offsets that rise, for the tensors of rebuilt arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import torch

from opclock.tracing.specs import each_once


class Values(NamedTuple):
    """Values for a tensor: "between" or a name in MAKERS, and its numbers.

    Tensors with equal specs and values share a buffer.
    """

    maker: str
    numbers: tuple[int, ...] = ()


def below(limit: int) -> Values:
    """Integers in [0, limit)."""
    return Values("between", (0, max(1, limit)))


# By name: the values of a tensor of this shape, from the numbers of Values. "between" is drawn in place.
MAKERS: dict[str, Callable[..., torch.Tensor]] = {
    "exact": lambda shape, *numbers: torch.tensor(numbers).reshape(shape),
    "rising": lambda shape, total, closed: torch.arange(shape[0]) * total // max(1, shape[0] - closed),  # offsets
    "ends": lambda shape, total: torch.arange(1, shape[0] + 1) * total // max(1, shape[0]),  # of equal groups
    "parts": lambda shape, total: (total + torch.arange(shape[0] - 1, -1, -1)) // max(1, shape[0]),  # falling sizes
    "counting": lambda shape, first: torch.arange(first, first + math.prod(shape[-1:])).expand(shape),
    "true": lambda shape, count: (torch.arange(math.prod(shape)) < count).reshape(shape),  # the first ones of a mask
    "filled": lambda shape, number: torch.full(shape, number),
    "batch_sizes": lambda shape, rows, first: _batch_sizes(shape[0], rows, first),
    "probabilities": lambda shape: torch.rand(shape) * 0.9 + 0.05,
    "rectified": lambda shape: torch.randn(shape).clamp_min_(0),
    "positive": lambda shape: torch.rand(shape) + 0.5,
    "sorted": lambda shape: torch.linspace(-2, 2, shape[-1]).expand(shape),
    "definite": lambda shape: _definite(shape),
    "boxes": lambda shape, images: _boxes(shape, images),
}


def _batch_sizes(steps: int, rows: int, first: int) -> torch.Tensor:
    """Falling sizes from ``first``, at least 1, that add up to the rows of a packed sequence."""
    sizes: list[int] = []
    for later in reversed(range(steps)):
        sizes.append(max(1, min(first, rows - sum(sizes) - later)))
    return torch.tensor(sizes)


def _definite(shape: torch.Size) -> torch.Tensor:
    """Symmetric matrices whose diagonal outweighs the rest of each row, so that they are positive definite."""
    rest = torch.rand(shape)
    return (rest + rest.mT) / 2 + shape[-1] * torch.eye(shape[-1])


def _boxes(shape: torch.Size, images: int) -> torch.Tensor:
    """Regions of interest: number of the image, then left, top, right and bottom."""
    corners = torch.rand(shape[0], 2).repeat(1, 2) * 8 + torch.tensor([0.0, 0.0, 8.0, 8.0])
    return torch.cat([torch.randint(0, max(1, images), (shape[0], 1)), corners], 1)


EACH = ("filled", "probabilities", "positive", "rectified")  # makers that know one element of a tensor as well as all


def fill(tensor: torch.Tensor, values: Values) -> None:
    """Write values into a tensor, unless its shape is not as their maker expects.

    Elements that share memory, as in an expanded tensor, are written once.
    """
    if not tensor.numel():
        return
    shared = each_once(tensor.detach())
    with torch.no_grad(), suppress(RuntimeError, IndexError):
        if values.maker == "between":
            low, high = values.numbers
            shared.random_(low, high)
        elif values.maker in EACH:
            shared.copy_(MAKERS[values.maker](shared.shape, *values.numbers))
        else:
            whole = MAKERS[values.maker](tensor.shape, *values.numbers)
            shared.copy_(whole[tuple(slice(size) for size in shared.shape)])
