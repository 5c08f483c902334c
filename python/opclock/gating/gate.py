"""Compares a base and a head: each model in several processes of both, in turn."""

from __future__ import annotations

from collections.abc import Sequence

from opclock.board.identity import read_board
from opclock.gating.process import make_starter
from opclock.gating.result import Gate, judged_rows
from opclock.gating.sampling import Job, run_in_turn
from opclock.gating.sides import Side
from opclock.progress import Progress, silent, step
from opclock.temporary import temporary_folder


def gate(
    models: Sequence[str], sides: tuple[Side, Side], *, threads: int, input_text: str | None = None,
    max_slowdown: float = 0.05, progress: Progress = silent,
) -> Gate:  # fmt: skip
    """Run models on both sides, and judge whether the head is slower.

    Args:
        models: as the user named them, see ``opclock.load_model``.
        sides: base and head.
        threads: PyTorch's, on both sides.
        input_text: random inputs in place of the models' own.
        max_slowdown: that is allowed, a fraction.
        progress: receives a text and the fraction that is done.

    Returns:
        The verdicts, one for each model.

    Raises:
        GateError: a side cannot load or run a model, or memory is short.
    """
    board = read_board().to_json()
    with temporary_folder() as folder:
        make_starter(folder)
        runs = [
            run_in_turn(Job(model, sides, threads, input_text, folder), step(progress, number, len(models)))
            for number, model in enumerate(models, start=1)
        ]
    rows = judged_rows(models, runs, max_slowdown)
    return Gate(sides, runs[0].versions, threads, max_slowdown, board, rows)
