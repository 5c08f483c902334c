"""Finds the dimension of each input that is the batch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

from opclock.errors import ModelError, OptionError

if TYPE_CHECKING:
    import torch

    Forward = Callable[..., tuple[torch.Tensor, ...]]

SEED = 0
MAX_COMBINATIONS = 16  # of the dimensions of several inputs, for each dimension of the first
CLOSE = 1e-3  # of an output's root mean square: kernels round differently at another batch
GUESSED = "the first dimension of the inputs is taken for the batch, which could not be verified: --batch-dim names it"
NONE = "no dimension of the inputs is a batch: the example inputs are timed as they are"


@dataclass(frozen=True)
class Batching:
    """Where the batch is.

    Attributes:
        dims: for each input tensor the dimension that is the batch; None where it has none.
        note: what the user should know about it, or "".
    """

    dims: tuple[int | None, ...]
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether any input has a batch."""
        return any(dim is not None for dim in self.dims)

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Batching:
        """The inverse of to_json."""
        data = json.loads(text)
        return Batching(tuple(data["dims"]), data["note"])

    def resized(self, tensors: Sequence[torch.Tensor], batch: int, *, model: str) -> list[torch.Tensor]:
        """The inputs at this batch: as they are where it is theirs already, else like them.

        Raises ModelError for a batch above 1 where no input has one.
        """
        if not self.known:
            if batch == 1:
                return list(tensors)
            raise ModelError(
                f"{model}: no dimension of its inputs is a batch, so there is no batch {batch}: name one with "
                "batch_dim=NUMBER, or leave the batch at 1"
            )
        sizes = (tensor.shape[dim] for tensor, dim in zip(tensors, self.dims, strict=True) if dim is not None)
        return list(tensors) if all(size == batch for size in sizes) else self.other(tensors, batch)

    def other(self, tensors: Sequence[torch.Tensor], batch: int | None = None, *, seed: int = 0) -> list[torch.Tensor]:
        """Other inputs like these, at this batch or, if None, at their own. Inputs without a batch stay."""
        return [
            tensor if dim is None else resized(tensor, tensor.shape[dim] if batch is None else batch, dim, seed=seed)
            for tensor, dim in zip(tensors, self.dims, strict=True)
        ]


def resized(tensor: torch.Tensor, batch: int, dim: int = 0, *, seed: int = 0) -> torch.Tensor:
    """Make an input like this one at another batch.

    Args:
        tensor: the input.
        batch: the size of the result's batch.
        dim: the dimension that is the batch.
        seed: for random numbers.

    Returns:
        Random numbers. Integers, which may be indices, are the first item repeated, and rolled by the seed along the
        last other dimension.
    """
    import torch

    shape = [*tensor.shape[:dim], batch, *tensor.shape[dim + 1 :]]
    if tensor.is_floating_point():
        return torch.randn(shape, generator=torch.Generator().manual_seed(SEED + 1 + seed + batch))
    others = [axis for axis in range(tensor.ndim) if axis != dim]
    first = tensor.narrow(dim, 0, 1)
    return (first.roll(seed, others[-1]) if others else first).expand(shape).contiguous()


def find_batch(forward: Forward, tensors: Sequence[torch.Tensor], asked: int | None = None) -> Batching:
    """Find the dimensions that are the batch, by running the model with two and with three different items.

    A batch makes the outputs grow with the inputs, and its items do not affect one another: exchanged items have
    exchanged outputs, and a third item changes neither. The dimensions of the first input are tried in order.

    Args:
        forward: takes the tensors, and returns a tuple of tensors.
        tensors: example inputs.
        asked: the dimension that the user names; it is not tried.

    Returns:
        The dimensions. Where none behaves like a batch, the first one if the model runs with two items there.

    Raises:
        OptionError: no input has the dimension that is asked for.
    """
    if asked is not None:
        return Batching(_same_size(tensors, asked))
    if not any(tensor.ndim for tensor in tensors):
        return Batching(tuple(None for _ in tensors), NONE)
    for dims in _combinations(tensors):
        if _is_batch(forward, tensors, dims):
            return Batching(dims)
    first = _same_size(tensors, 0)
    runs = _outputs(forward, _items(tensors, first, (0, 1))) is not None
    return Batching(first, GUESSED) if runs else Batching(tuple(None for _ in tensors), NONE)


def _same_size(tensors: Sequence[torch.Tensor], dim: int) -> tuple[int | None, ...]:
    """This dimension of every input in which it has the same size as in the first input that has it."""
    sizes = [tensor.shape[dim] for tensor in tensors if tensor.ndim > dim]
    if not sizes:
        shapes = ", ".join("x".join(map(str, tensor.shape)) or "scalar" for tensor in tensors)
        raise OptionError(f"batch_dim={dim}: no input has this dimension, counted from 0; their shapes are {shapes}")
    return tuple(dim if tensor.ndim > dim and tensor.shape[dim] == sizes[0] else None for tensor in tensors)


def _combinations(tensors: Sequence[torch.Tensor]) -> Iterator[tuple[int | None, ...]]:
    """Dimensions of equal size, one an input or None; the same dimension in all inputs comes first."""
    lead = next(number for number, tensor in enumerate(tensors) if tensor.ndim)
    for dim, size in enumerate(tensors[lead].shape):
        choices: list[list[int | None]] = []
        for number, tensor in enumerate(tensors):
            equal = [axis for axis in range(tensor.ndim) if tensor.shape[axis] == size]
            others: list[int | None] = [*sorted(equal, key=lambda axis, own=dim: axis != own), None]  # type: ignore[misc]
            choices.append([dim] if number == lead else others)
        yield from islice(product(*choices), MAX_COMBINATIONS)


def _is_batch(forward: Forward, tensors: Sequence[torch.Tensor], dims: Sequence[int | None]) -> bool:
    import torch

    runs = [_outputs(forward, _items(tensors, dims, items)) for items in ((0, 1), (1, 0), (0, 1, 2))]
    if any(run is None for run in runs) or len({len(run or ()) for run in runs}) > 1:
        return False
    follows = False
    for two, exchanged, three in zip(*(run or () for run in runs), strict=True):
        if two.shape != exchanged.shape or two.ndim != three.ndim:
            return False
        grown = [axis for axis in range(two.ndim) if two.shape[axis] != three.shape[axis]]
        if not grown:
            continue
        axis, follows = grown[0], True
        if len(grown) > 1 or two.shape[axis] * 3 != three.shape[axis] * 2:
            return False
        first, second = two.chunk(2, axis)
        if not _close(torch.cat((second, first), axis), exchanged):
            return False
        if not _close(two, three.narrow(axis, 0, two.shape[axis])):
            return False
    return follows


def _items(
    tensors: Sequence[torch.Tensor], dims: Sequence[int | None], numbers: Sequence[int]
) -> list[torch.Tensor]:  # fmt: skip
    """Inputs of these different items."""
    import torch

    return [
        tensor if dim is None else torch.cat([resized(tensor, 1, dim, seed=number) for number in numbers], dim)
        for tensor, dim in zip(tensors, dims, strict=True)
    ]


def _outputs(forward: Forward, tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...] | None:
    """The model's outputs; None where it does not run. A model that draws random numbers draws the same ones."""
    import torch

    torch.manual_seed(SEED)
    try:
        return forward(*tensors)
    except Exception:
        return None  # whatever a model raises, it cannot take these shapes


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    scale = float(torch.nan_to_num(one.abs().float(), posinf=0.0).square().mean().sqrt())
    return torch.allclose(one, other, rtol=CLOSE, atol=CLOSE * scale, equal_nan=True)
