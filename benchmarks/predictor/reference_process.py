"""A process that really runs models, one block for each number on standard input: each has a heap of its own.

    python -m benchmarks.predictor.reference_process THREADS '[["NAME", "MODEL", "INPUT"], ...]'

Says "ready" once all models are warm and "done" after each block; at the end of its input it prints their samples as
JSON: by name two independent halves, in seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.accuracy.cases import Case

ROOT = Path(__file__).parents[2]
Halves = tuple[list[float], list[float]]


class ReferenceProcess:
    """The process, seen from outside."""

    def __init__(self, cases: Sequence[Case], threads: int) -> None:
        self._cases = list(cases)
        self._next = 0
        texts = json.dumps([(case.name, case.model, case.input_text) for case in cases])
        command = [sys.executable, "-m", __spec__.name, str(threads), texts]
        self._process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def block(self) -> None:
        """Run a block of the next model and one of its repeat."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._next}\n")
        self._process.stdin.flush()
        assert self._line() == "done"
        self._next = (self._next + 1) % len(self._cases)

    def end(self) -> dict[str, Halves]:
        """End the process; returns its samples by name."""
        answer, _ = self._process.communicate()
        halves: dict[str, Halves] = json.loads(answer)
        return halves


def main() -> None:
    """The process, seen from inside."""
    with suppress(ModuleNotFoundError):  # only some models need it, and transformers where it is installed
        from benchmarks import torchvision_operators  # noqa: F401

    from opclock.models.loading import load_model
    from opclock.timing.reference import ReferenceRun, forward_of
    from opclock.timing.threads import thread_team

    with thread_team(int(sys.argv[1])):
        runs = {}
        for name, model, input_text in json.loads(sys.argv[2]):
            loaded = load_model(model, input_text=input_text)
            runs[name] = ReferenceRun(forward_of(loaded.module, loaded.inputs), name)
        print("ready", flush=True)
        for line in sys.stdin:
            run = list(runs.values())[int(line)]
            run.block(0)
            run.block(1)
            print("done", flush=True)
        halves = {name: run.reference() for name, run in runs.items()}
    print(json.dumps({name: (list(each.first), list(each.repeat)) for name, each in halves.items()}))


if __name__ == "__main__":
    main()
