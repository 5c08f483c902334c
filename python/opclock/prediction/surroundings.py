"""What runs between two runs of an operator: it decides how much of its code and data the caches still hold.

A normalisation of equal size took 10 µs among small kernels and 37 among large ones. Needs no torch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from opclock.tracing.macs import moved_bytes
from opclock.tracing.trace import TracedCall


class Between(NamedTuple):
    """The binary logarithm of the bytes (plus one) that other op calls move between two runs.

    Where the op call occurs several times in an inference: the mean.
    """

    operator: float = 0.0  # since its operator ran last: the operator's own code
    op_call: float = 0.0  # since the same op call ran last: code that was compiled for its shapes, too


def in_order(calls: Sequence[TracedCall]) -> dict[str, Between]:
    """What runs between, where op calls run in this order again and again.

    Args:
        calls: with their outputs.

    Returns:
        By op call.
    """
    moved = _moved(calls)
    keys = [traced.call.key for traced in calls]
    bytes_ = np.array([moved[key] for key in keys], dtype=float)
    operators = _since_last(bytes_, [_operator(traced) for traced in calls])
    op_calls = _since_last(bytes_, keys)
    found: dict[str, list[tuple[float, float]]] = {}
    for key, *both in zip(keys, operators, op_calls, strict=True):
        found.setdefault(key, []).append((_log(both[0]), _log(both[1])))
    return {key: Between(*(math.fsum(one) / len(one) for one in zip(*several, strict=True)))
            for key, several in found.items()}  # fmt: skip


def in_any_order(positions: Iterable[str], traced: Mapping[str, TracedCall]) -> dict[str, Between]:
    """The same where op calls run in a random order: the expected bytes.

    Args:
        positions: the key of the op call at each position.
        traced: the op calls that are known with their outputs.

    Returns:
        By op call that is known.
    """
    known = [traced[key] for key in positions if key in traced]
    operators, op_calls = _expected(known, _operator), _expected(known, lambda one: one.call.key)
    return {one.call.key: Between(_log(operators[_operator(one)]), _log(op_calls[one.call.key])) for one in known}


def _since_last(moved: np.ndarray, names: Sequence[str]) -> list[float]:
    """By position: the bytes that are moved since the name occurred last, in the round before where need be."""
    ends = np.cumsum(moved)
    last = {name: position - len(names) for position, name in enumerate(names)}
    since: list[float] = []
    for position, name in enumerate(names):
        before = last[name]
        end_before = ends[before] - (ends[-1] if before < 0 else 0.0)
        since.append(float(ends[position] - moved[position] - end_before))
        last[name] = position
    return since


def _expected(calls: Sequence[TracedCall], name: Callable[[TracedCall], str]) -> dict[str, float]:
    """By name: the bytes of all other op calls for each of its occurrences."""
    moved = _moved(calls)
    counts, own = Counter[str](), Counter[str]()
    for one in calls:
        counts[name(one)] += 1
        own[name(one)] += moved[one.call.key]
    return {each: (own.total() - own[each]) / count for each, count in counts.items()}


def _moved(calls: Iterable[TracedCall]) -> dict[str, int]:
    return {key: moved_bytes(one) for key, one in {one.call.key: one for one in calls}.items()}


def _operator(traced: TracedCall) -> str:
    """Its name. One that changes its argument in place runs the same kernel."""
    return traced.call.name.removesuffix("_")


def _log(bytes_: float) -> float:
    return math.log2(1.0 + bytes_)
