"""Runs a task for each of many models, each in a forked process of its own: a crash or a hang is one row."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

import torch

Named = tuple[str, str]  # kind and name of a model
Task = Callable[[str, str], dict[str, Any]]
FAILED = "wrong"  # the outcome of what did not end as it should


def _child(task: Task, model: Named, to: Connection) -> None:
    torch.set_num_threads(1)
    try:
        to.send(task(*model))
    except BaseException as error:  # the others go on
        to.send({"outcome": FAILED, "why": f"traceback: {type(error).__name__}: {str(error)[:300]}"})


class _Running:
    """One process, and when its time is up."""

    def __init__(self, task: Task, model: Named, limit_s: float) -> None:
        context = multiprocessing.get_context("fork")
        self.model = model
        self.answer, there = context.Pipe()
        self._process: ForkProcess = context.Process(target=_child, args=(task, model, there))
        self._process.start()
        there.close()
        self._limit_s = limit_s
        self._end = time.perf_counter() + limit_s

    def ended(self) -> dict[str, Any] | None:
        """The row; None while the process works."""
        if self.answer.poll():
            try:
                return dict(self.answer.recv())
            except EOFError:
                return {"outcome": FAILED, "why": "crash: the process ended"}
        late = time.perf_counter() > self._end
        return {"outcome": FAILED, "why": f"slow: over {self._limit_s:.0f} s"} if late else None

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self.answer.close()


def in_children(
    task: Task, models: Sequence[Named], *, jobs: int, limit_s: float, max_s: float
) -> Iterator[tuple[Named, dict[str, Any]]]:
    """Run a task for each model.

    Args:
        task: takes a kind and a name, returns a JSON-ready row.
        models: kinds and names.
        jobs: processes at a time.
        limit_s: seconds for one model.
        max_s: seconds after which no other model is begun.

    Yields:
        Each model with its row, as they end.
    """
    begun = time.perf_counter()
    waiting, running = list(models), list[_Running]()
    try:
        while waiting or running:
            if time.perf_counter() - begun > max_s:
                waiting.clear()
            while waiting and len(running) < jobs:
                running.append(_Running(task, waiting.pop(0), limit_s))
            wait([one.answer for one in running], timeout=1)
            for one in list(running):
                if (row := one.ended()) is not None:
                    running.remove(one)
                    one.close()
                    yield one.model, row
    finally:
        for one in running:
            one.close()
