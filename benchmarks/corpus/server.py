"""A child process that examines models, each in a process forked from it: what they need is imported once."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.corpus.children import FAILED, Named
from opclock.children.pool import ChildPool
from opclock.children.process import ChildProcess, RuntimeFailedError
from opclock.children.serving import serve

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0  # importing torch, timm and transformers


class ExaminingProcess(ChildProcess):
    """The parent's side."""

    doing: ClassVar[Mapping[str, str]] = {"examine": "examining the model"}

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-P", "-m", "benchmarks.corpus.server"]
        super().__init__(command, log, {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})


@contextmanager
def examining(limit_s: float, folder: Path, count: int) -> Iterator[Callable[[Named], dict[str, Any]]]:
    """So many processes that examine models.

    Args:
        limit_s: seconds for one model.
        folder: for their output.
        count: how many there are.

    Yields:
        A function that takes a model and waits for its row.
    """
    names = iter(range(1_000_000))
    with closing(ChildPool(lambda: ExaminingProcess(folder / f"{next(names)}.txt"), count)) as pool:

        def row(model: Named) -> dict[str, Any]:
            kind, name = model
            try:
                with pool.child() as process:
                    answer = process.ask("examine", START_S + limit_s, kind=kind, name=name, limit_s=limit_s)
            except RuntimeFailedError as error:
                return {"outcome": FAILED, "why": str(error)}
            return dict(answer["row"])

        yield row


def _serve() -> None:
    import torch

    from benchmarks.corpus.children import in_children
    from benchmarks.corpus.examining import examine
    from benchmarks.corpus.kinds import KINDS

    warnings.simplefilter("ignore")  # what model libraries say about their own code
    torch.set_num_threads(1)  # children are forked
    imported: set[str] = set()
    empty = io.StringIO()

    def examined(request: dict[str, Any]) -> dict[str, Any]:
        kind, model = request["kind"], (request["kind"], request["name"])
        sys.stdin = empty  # a forked process closes it, and would wait for ever for the thread that reads requests
        if kind not in imported:
            KINDS[kind].build(KINDS[kind].first)
            imported.add(kind)
        ((_, row),) = in_children(examine, [model], jobs=1, limit_s=request["limit_s"], max_s=1e9)
        return {"row": row}

    serve({"examine": examined})


if __name__ == "__main__":
    _serve()
