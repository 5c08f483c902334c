"""Samples blocks of several items in turn, so that a temporary slowdown of the machine affects all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def _nothing() -> None:
    """Report no progress."""


def interleave(
    items: Iterable[Item],
    block: Callable[[Item], object],
    *,
    enough: Callable[[Item], bool],
    order: random.Random | None = None,
    progress: Callable[[], object] = _nothing,
) -> None:
    """Run a block of each item in turn, pass after pass. An item with enough blocks takes no further part.

    Args:
        items: the things to sample.
        block: runs one block of an item.
        enough: whether an item needs no further block; called before each pass, also before the first.
        order: shuffles the items before each pass; the order stays if None.
        progress: called after each block.
    """
    remaining = [item for item in items if not enough(item)]
    while remaining:
        _run_pass(remaining, block, order, progress)
        remaining = [item for item in remaining if not enough(item)]


def interleave_together(
    items: Iterable[Item],
    block: Callable[[Item], object],
    *,
    enough: Callable[[], bool],
    order: random.Random | None = None,
    progress: Callable[[], object] = _nothing,
) -> None:
    """Run a block of each item in turn, pass after pass, until all have enough. All get equally many blocks.

    Args: see ``interleave``, but ``enough`` takes no item and is called once before each pass.
    """
    all_items = list(items)
    while not enough():
        _run_pass(all_items, block, order, progress)


def _run_pass(
    items: list[Item], block: Callable[[Item], object], order: random.Random | None, progress: Callable[[], object]
) -> None:
    if order is not None:
        order.shuffle(items)
    for item in items:
        block(item)
        progress()
