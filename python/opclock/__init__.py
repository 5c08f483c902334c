"""How long a PyTorch model takes on a board, where the time goes, and what MACs hide.

The whole path::

    import opclock

    trace = opclock.trace(model, (image,))
    with opclock.open_profile("board.sqlite") as profile:
        opclock.measure(trace, profile, forward=lambda: model(image), threads=2)
        estimate = opclock.estimate(trace, profile, threads=2)
    print(estimate.total_s, estimate.by_class())

Reading a profile and estimating from a stored trace needs no torch and no compiled part.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from opclock.board import system as _system  # noqa: F401 - reads the cores before torch's OpenMP binds this thread
from opclock.errors import (
    EstimateError,
    ExtensionError,
    ModelError,
    OpCallError,
    OpclockError,
    OptionError,
    ProfileError,
    ReportError,
    SweepError,
    TraceError,
)
from opclock.version import VERSION

if TYPE_CHECKING:
    from opclock.benchmarking.bench import Bench, bench
    from opclock.benchmarking.result import BenchRow
    from opclock.estimation.estimate import estimate
    from opclock.estimation.result import Coverage, Estimate, Part
    from opclock.generation.language_model import language_model
    from opclock.generation.result import LanguageModelEstimate
    from opclock.models.loading import Model, load_language_model, load_model
    from opclock.profiles.machine_state import MachineState, usual_state
    from opclock.profiles.profile import Profile
    from opclock.runtimes.runtime import Settings
    from opclock.sweeps.families import Family, family
    from opclock.sweeps.for_models import ModelSweep, sweep_for
    from opclock.sweeps.run import sweep
    from opclock.timing.current_state import current_state
    from opclock.timing.measure import MeasureSummary, measure
    from opclock.timing.reference import Reference, reference
    from opclock.tracing.op_call import OpCall
    from opclock.tracing.recorder import trace
    from opclock.tracing.trace import Trace
    from opclock.validation.results import Row, Validation
    from opclock.validation.validate import validate

__version__ = VERSION

# Where each public name is defined. Imported when first used: tracing needs torch, estimating does not.
_HOMES = {
    "Bench": "benchmarking.bench", "BenchRow": "benchmarking.result", "Coverage": "estimation.result",
    "Estimate": "estimation.result", "Family": "sweeps.families", "MeasureSummary": "timing.measure",
    "MachineState": "profiles.machine_state", "Model": "models.loading", "OpCall": "tracing.op_call",
    "Part": "estimation.result", "Profile": "profiles.profile", "Reference": "timing.reference",
    "Row": "validation.results", "Settings": "runtimes.runtime", "Trace": "tracing.trace",
    "Validation": "validation.results", "bench": "benchmarking.bench", "current_state": "timing.current_state",
    "estimate": "estimation.estimate", "family": "sweeps.families", "LanguageModelEstimate": "generation.result",
    "language_model": "generation.language_model", "load_language_model": "models.loading",
    "load_model": "models.loading", "measure": "timing.measure", "reference": "timing.reference",
    "ModelSweep": "sweeps.for_models", "sweep": "sweeps.run", "sweep_for": "sweeps.for_models",
    "trace": "tracing.recorder", "usual_state": "profiles.machine_state",
    "validate": "validation.validate",
}  # fmt: skip

__all__ = [
    "Bench", "BenchRow", "Coverage", "Estimate", "EstimateError", "ExtensionError", "Family", "LanguageModelEstimate",
    "MachineState", "MeasureSummary", "Model", "ModelError", "ModelSweep", "OpCall", "OpCallError", "OpclockError",
    "OptionError", "Part", "Profile", "ProfileError", "Reference", "ReportError", "Row", "Settings", "SweepError",
    "Trace", "TraceError", "Validation", "__version__", "bench", "current_state", "estimate", "family",
    "language_model", "load_language_model", "load_model", "measure", "open_profile", "reference", "sweep", "sweep_for",
    "trace", "usual_state", "validate",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"opclock has no {name!r}")
    value = getattr(importlib.import_module(f"opclock.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def open_profile(path: str | Path) -> Profile:
    """Open this board's profile for writing; create the file where there is none.

    Args:
        path: the file, such as "board.sqlite".

    Returns:
        The profile; a context manager that closes the file.

    Raises:
        ProfileError: the file is not a profile, is damaged, belongs to another board, or cannot be written.
        ExtensionError: torch or the compiled part is missing.
    """
    from opclock.board.identity import read_board
    from opclock.profiles.profile import Profile

    return Profile.create_or_open(path, read_board())
