"""Which depths are measured, and whether memory suffices for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opclock.board.accelerator import free_bytes
from opclock.errors import OptionError
from opclock.formatting import BYTES, quantity
from opclock.generation.cache_snapshot import CacheSnapshot
from opclock.generation.causal import CausalModel, filled_cache
from opclock.generation.result import Request

# A cache in the model, the arguments of op calls that stand for it, and their outputs.
COPIES = 3
FEW = (2, 3)  # tokens, from which the bytes of a deeper cache follow


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


def check_memory(causal: CausalModel, request: Request, plan: Plan, processes: int) -> None:
    """Raise OptionError where memory does not suffice at the last depth, before anything is timed.

    Args:
        causal: the model, whose weights are in memory already.
        request: prompt and generation.
        plan: the depths.
        processes: how many others load the model as well.
    """
    last = plan.depths[-1]
    weights, cache = causal.weight_bytes, _cache_bytes(causal, request.batch, last)
    caches = sum(COPIES * _cache_bytes(causal, request.batch, depth) for depth in plan.depths)
    needed = weights + caches + processes * (weights + COPIES * cache)
    free = free_bytes(causal.device)
    if needed > free:
        raise OptionError(
            f"{causal.name} needs {quantity(needed, BYTES)} to be timed at depth {last} (weights "
            f"{quantity(weights, BYTES)}, cache {quantity(cache, BYTES)}), and {quantity(free, BYTES)} are free on "
            f"{causal.device}: give a smaller --prompt, --generate or --batch"
        )


def _cache_bytes(causal: CausalModel, batch: int, depth: int) -> int:
    """About how many bytes a cache of this depth has."""
    few, more = (CacheSnapshot(filled_cache(causal, batch, tokens)).nbytes for tokens in FEW)
    return few + (more - few) * max(0, depth - FEW[0])
