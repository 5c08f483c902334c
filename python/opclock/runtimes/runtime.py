"""What a runtime is: the protocol that built-in ones and those of other packages follow."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from opclock.runtimes.job import Job

Array = npt.NDArray[Any]
Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
# any: what was converted once runs at every batch. fixed: converted anew for each. one: an image at a time, in turn.
Batches = Literal["any", "fixed", "one"]


@dataclass(frozen=True)
class Settings:
    """What is set alike for every runtime."""

    threads: int
    precision: Precision = "float32"


@dataclass(frozen=True)
class OperatorTime:
    """What a runtime says of one of its operators, fused as it runs it, for one inference."""

    name: str
    kind: str  # the runtime's own word for it: "Conv", "FullyConnected"
    seconds: float
    is_mac: bool  # whether its work is what a MAC count counts: convolutions and matrix products, with what is fused in


class Session(Protocol):
    """A loaded model in this process, with its inputs in place."""

    def run(self) -> None:
        """One inference, complete when it returns."""

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run, in the model's order."""

    def operators(self) -> Sequence[OperatorTime]:
        """Of one run of a session that was loaded as profiled; empty where the runtime does not say."""


class Runtime(Protocol):
    """Converts models and runs them. Both happen in child processes: what crashes or hangs ends the child."""

    name: str
    batches: Batches
    precisions: Sequence[Precision]
    reports_operator_times: bool  # whether it says how long its operators take

    def missing(self) -> str:
        """Why it cannot be used here, with the command that mends it; "" where it can."""

    def versions(self) -> dict[str, str]:
        """Of the packages that do the work."""

    def convert(self, job: Job, settings: Settings) -> None:
        """Write what `load` needs into `job.artefacts`.

        Args:
            job: the model at one batch, prepared.
            settings: threads and precision.

        Raises:
            Exception: whatever the converter raises.
        """

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """Make the converted model ready.

        Args:
            job: the one that was converted, perhaps at another batch where artefacts serve every batch.
            settings: threads and precision.
            profiled: whether the session has to report its operators' times.

        Raises:
            Exception: whatever the runtime raises.
        """


def lacking(packages: Sequence[str], extra: str) -> str:
    """Which modules cannot be imported, and the command that installs them; "" where all can.

    Args:
        packages: importable names.
        extra: of opclock, that brings them.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed: pip install 'opclock[{extra}]'" if absent else ""


def versions_of(*packages: str) -> dict[str, str]:
    """Versions of installed distributions."""
    return {name: importlib.metadata.version(name) for name in packages}


def float_arrays(values: Sequence[Any]) -> list[Array]:
    """Outputs as float32 arrays where they are floating-point numbers of any width."""
    arrays = [np.asarray(value) for value in values]
    return [array.astype(np.float32) if array.dtype.kind == "f" else array for array in arrays]
