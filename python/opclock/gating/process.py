"""The parent's view of one process of a side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

import numpy as np

import opclock
from opclock.children.named_process import NamedProcess
from opclock.errors import GateError, OpclockError
from opclock.gating import child
from opclock.gating.sides import Side
from opclock.models.loading import Specification
from opclock.profiles.statistics import Samples
from opclock.version import VERSION

STARTER = "opclock_gate_child.py"  # a name that no module of a user has


class GateProcess(NamedProcess):
    """Runs the model of one side.

    Attributes:
        side: whose process it is.
        runs: how many make a block.
        nbytes: of memory that it takes.
        contended: whether other programs disturbed nearly all runs so far.
        versions: of Python and torch.
    """

    doing: ClassVar[Mapping[str, str]] = {
        "load": "loading the model", "run": "warming up the model", "block": "timing the model",
        "samples": "handing over its samples",
    }  # fmt: skip

    failure: ClassVar[type[OpclockError]] = GateError
    answer_s: ClassVar[float] = 600.0  # for importing torch, loading a model, or one block of it

    def __init__(self, side: Side, folder: Path, number: int) -> None:
        """Start it.

        Args:
            side: whose process it is.
            folder: see ``make_starter``.
            number: of the process, for the name of its log.

        Raises:
            GateError: it cannot be started.
        """
        self.side = side
        self.runs, self.nbytes = 0, 0
        self.contended = False
        self.versions: dict[str, str] = {}
        log = folder / f"{side.name}-{number}.txt"
        super().__init__(f"--{side.name} {side}", [side.python, str(folder / STARTER)], log)

    def load(self, specification: Specification, threads: int) -> None:
        """Load a model."""
        side = self.side
        self.versions = self.request(
            "load", specification=asdict(specification), threads=threads, folder=str(side.folder),
            places=list(side.places), moved=side.moved,
        )  # fmt: skip

    def warm_up(self) -> None:
        """Run the model a few times."""
        answer = self.request("run")
        self.runs, self.nbytes = answer["runs"], answer["bytes"]

    def block(self, runs: int) -> float:
        """Make a block of so many runs. Returns its wall seconds."""
        answer = self.request("block", runs=runs)
        self.contended = answer["contended"]
        return float(answer["seconds"])

    def samples(self) -> tuple[Samples, int]:
        """The seconds of all runs so far, and how many of them other programs disturbed."""
        answer = self.request("samples")
        return np.array(answer["seconds"], dtype=float), int(answer["disturbed"])


def make_starter(folder: Path) -> None:
    """Put into a folder what a process is started by: a file, beside it a link to this opclock, and its version.

    A script's folder is first on the path. The rest of this environment stays out of it.
    """
    (folder / "opclock").symlink_to(Path(opclock.__file__).parent, target_is_directory=True)
    information = folder / f"opclock-{VERSION}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: opclock\nVersion: {VERSION}\n", encoding="utf-8"
    )
    (folder / STARTER).write_bytes(Path(child.__file__).read_bytes())
