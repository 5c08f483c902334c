"""Which depths are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opclock.errors import OptionError
from opclock.generation.result import Request


@dataclass(frozen=True)
class Plan:
    """The depths to measure.

    Attributes:
        depths: all of them, rising.
        held_out: the one that only tests the curve; None where there are not enough.
        room: tokens for which a static cache has room: those of the generation, and of each depth.
    """

    depths: tuple[int, ...]
    held_out: int | None
    room: int


def plan(request: Request, depths: Sequence[int] = ()) -> Plan:
    """Choose the depths.

    Args:
        request: prompt and generation.
        depths: that the user wants; by default the first, the middle and the last token's after the prompt.

    Returns:
        These depths; the first and the last one, so that the curve holds for the whole generation; and one more between
        them, which is held out.

    Raises:
        OptionError: a depth is negative.
    """
    if any(depth < 0 for depth in depths):
        raise OptionError(f"depths={list(depths)}: give numbers of tokens in the cache, from 0")
    first, last = request.depths[0], request.depths[-1]
    wanted = sorted({*(depths or [(first + last) // 2]), first, last})
    inside = [depth for depth in wanted if first <= depth <= last]
    held_out = (inside[-2] + inside[-1]) // 2 if len(inside) > 1 else first
    room = max(request.prompt + request.generate, wanted[-1] + 1)
    if held_out in wanted:
        return Plan(tuple(wanted), None, room)
    return Plan(tuple(sorted([*wanted, held_out])), held_out, room)
