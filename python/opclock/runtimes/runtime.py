"""The protocol that all runtimes implement, built-in ones and those of other packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from opclock.argument_checks import check_fields
from opclock.runtimes.job import Job

Array = npt.NDArray[Any]
Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
# Runs whose operator times are read, after WARMUP_RUNS that are not; a single one may have been interrupted.
WARMUP_RUNS, PROFILED_RUNS = 1, 9
# any: one conversion serves every batch. fixed: each batch is converted separately. one: items run one at a time.
Batches = Literal["any", "fixed", "one"]


@dataclass(frozen=True)
class Settings:
    """The settings that all runtimes share."""

    threads: int
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class OperatorTime:
    """The time that a runtime reports for one of its operators, possibly fused, in one inference."""

    name: str
    kind: str  # the runtime's name for its type: "Conv", "FullyConnected"
    seconds: float
    is_mac: bool  # whether a MAC count includes it: convolutions and matrix products, with fused operators
    delegated: bool | None = None  # whether a delegate ran it; None where the runtime has none


class Session(Protocol):
    """A loaded model with its inputs, in this process."""

    def run(self) -> None:
        """Run one inference. It is complete when this returns."""

    def answers(self) -> Sequence[Array]:
        """The outputs of the last run, in the model's order."""

    def operators(self) -> Sequence[OperatorTime]:
        """Operator times of one run, if loaded with ``profiled``; empty where the runtime does not report them."""


class Runtime(Protocol):
    """Converts models and runs them, in child processes: a crash or a timeout ends only the child."""

    name: str
    batches: Batches
    precisions: Sequence[Precision]
    reports_operator_times: bool

    def missing(self) -> str:
        """Why it cannot be used here, with the command that fixes it; "" where it can be used."""

    def versions(self) -> dict[str, str]:
        """Versions by package, of the packages that affect results."""

    def convert(self, job: Job, settings: Settings) -> None:
        """Convert the model, and write what ``load`` needs into ``job.artefacts``.

        Args:
            job: the model at one batch, prepared.
            settings: threads and precision.

        Raises:
            Exception: whatever the converter raises.
        """

    def load(self, job: Job, settings: Settings, *, profiled: bool = False) -> Session:
        """Load the converted model.

        Args:
            job: the converted job, perhaps at another batch if artefacts serve every batch.
            settings: threads and precision.
            profiled: whether the session must report operator times.

        Returns:
            The session.

        Raises:
            Exception: whatever the runtime raises.
        """


def typical(runs: Sequence[Sequence[OperatorTime]]) -> list[OperatorTime]:
    """The operators of one inference, each with the median of its times in several runs that have the same operators.

    Runs in which other operators ran than in the last one are left out.
    """
    if not runs:
        return []
    last = [operator.name for operator in runs[-1]]
    same = [run for run in runs if [operator.name for operator in run] == last]
    return [replace(times[-1], seconds=statistics.median(time.seconds for time in times))
            for times in zip(*same, strict=True)]  # fmt: skip


def lacking(packages: Sequence[str], extra: str) -> str:
    """Check that packages are installed.

    Args:
        packages: importable names.
        extra: the extra of opclock that installs them.

    Returns:
        The missing packages and the command that installs them; "" where all are installed.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed: pip install 'opclock[{extra}]'" if absent else ""


def versions_of(*packages: str) -> dict[str, str]:
    """Versions of installed distributions."""
    return {name: importlib.metadata.version(name) for name in packages}


def float_arrays(values: Sequence[Any]) -> list[Array]:
    """Convert outputs to arrays; floating-point numbers of any width become float32."""
    arrays = [np.asarray(value) for value in values]
    return [array.astype(np.float32) if array.dtype.kind == "f" else array for array in arrays]
