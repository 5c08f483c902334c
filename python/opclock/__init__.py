"""How long a PyTorch model takes on a board, where the time goes, and what MACs hide.

The whole walk::

    import opclock

    traced = opclock.trace(model, (image,))
    with opclock.open_profile("board.sqlite") as profile:
        opclock.measure(traced, profile, forward=lambda: model(image), threads=2)
        made = opclock.estimate(traced, profile, threads=2)
    print(made.total_s, made.by_class())

Reading a profile and estimating from a stored trace needs no torch and no compiled part.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from opclock.errors import OpclockError
from opclock.version import VERSION

if TYPE_CHECKING:
    from opclock.bench import Bench, bench
    from opclock.estimate import Estimate, estimate
    from opclock.measure import measure
    from opclock.model import load_model
    from opclock.op import OpCall
    from opclock.profile import Profile
    from opclock.reference import Reference, reference
    from opclock.runtimes.runtime import Settings
    from opclock.sweeping import sweep
    from opclock.sweeps import family
    from opclock.trace import Trace
    from opclock.tracer import trace
    from opclock.validate import Validation, validate

__version__ = VERSION

__all__ = [
    "Bench", "Estimate", "OpCall", "OpclockError", "Profile", "Reference", "Settings", "Trace", "Validation",
    "__version__", "bench", "estimate", "family", "load_model", "measure", "open_profile", "reference",
    "sweep", "trace", "validate",
]  # fmt: skip

# Imported when first used: tracing needs torch, estimating does not.
_HOMES = {
    "Bench": "bench", "bench": "bench", "Settings": "runtimes.runtime",
    "Estimate": "estimate", "estimate": "estimate", "measure": "measure", "load_model": "model", "Profile": "profile",
    "OpCall": "op", "Reference": "reference", "reference": "reference", "Trace": "trace", "trace": "tracer",
    "Validation": "validate", "validate": "validate", "sweep": "sweeping", "family": "sweeps",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"opclock has no {name!r}")
    found = getattr(importlib.import_module(f"opclock.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


class _Package(ModuleType):
    """A verb and its module share a name: importing the module, as any other module may, must not hide the verb."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def open_profile(path: str | Path) -> Profile:
    """Open this board's profile for measuring into, or make it. Raises ProfileError; see ``Profile.create_or_open``."""
    from opclock.board import read_board
    from opclock.profile import Profile

    return Profile.create_or_open(Path(path), read_board())
