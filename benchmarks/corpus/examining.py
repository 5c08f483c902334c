"""Traces one model with fake tensors and by a real run, compares the two, and plays its host."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.corpus.kinds import KINDS
from opclock.errors import OpclockError, described
from opclock.timing.host_playback import PlayedHost
from opclock.timing.reference import forward_of
from opclock.tracing.program import first_difference
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

# What a row may say, in the table's order. Only the first two are right.
SAME, NOTED, REFUSED, WRONG, NOT_BUILT = "same", "noted", "refused", "wrong", "not built"
OUTCOMES = (SAME, NOTED, REFUSED, WRONG, NOT_BUILT)
Row = dict[str, Any]


def examine(kind: str, name: str) -> Row:
    """Trace one model both ways and by default, and play it.

    Args:
        kind: one of ``KINDS``.
        name: its name there.

    Returns:
        JSON-ready: ``outcome`` (same: fake tensors do what a real run does; noted: they do not, and the real trace was
        taken with a note; refused: one line and no trace; wrong: a trace of another program, with no word of it),
        ``why``, the numbers of op calls, ``played`` ("yes" or why not) and seconds.
    """
    start = time.perf_counter()
    torch.manual_seed(0)
    try:
        model, inputs = KINDS[kind].build(name)
    except Exception as error:  # whatever an architecture needs that is not here
        return {"outcome": NOT_BUILT, "why": described(error)[:300]}
    model = model.eval()
    built_s = time.perf_counter() - start
    row = _traced(model, inputs)
    return row | {"built_s": round(built_s, 1), "seconds": round(time.perf_counter() - start, 1)}


def _attempt(model: torch.nn.Module, inputs: Any, *, real: bool | None) -> Trace | str:  # noqa: ANN401
    try:
        return trace(model, inputs, real=real)
    except OpclockError as error:
        return str(error)


def _traced(model: torch.nn.Module, inputs: Any) -> Row:  # noqa: ANN401
    fake, real = _attempt(model, inputs, real=False), _attempt(model, inputs, real=True)
    if isinstance(real, str):
        return {"outcome": REFUSED, "why": real}
    row: Row = {"real_calls": len(real.calls)}
    difference = fake if isinstance(fake, str) else first_difference(fake, real)
    if not difference and isinstance(fake, Trace):
        return row | {"outcome": SAME, "played": _played(fake, model, inputs)}
    taken = _attempt(model, inputs, real=None)
    if isinstance(taken, str):
        return row | {"outcome": REFUSED, "why": taken}
    right = taken.note and not first_difference(taken, real)
    outcome = NOTED if right else WRONG
    return row | {"outcome": outcome, "why": difference, "note": taken.note, "played": _played(taken, model, inputs)}


def _played(traced: Trace, model: torch.nn.Module, inputs: Any) -> str:  # noqa: ANN401
    try:
        PlayedHost(traced, forward_of(model, inputs))
    except OpclockError as error:
        return str(error)
    return "yes"
