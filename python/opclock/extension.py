"""Loads the compiled parts. Where one does not load, the error says why in one line."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any

from opclock.errors import ExtensionError

REBUILD = "pip install --force-reinstall --no-deps --no-cache-dir ."
NOT_BUILT = (
    "opclock._core is not built here: this install reads traces and profiles, and times nothing; to measure, install "
    f"opclock on a Linux board that has torch and a C++ compiler: {REBUILD}"
)


def load_core() -> ModuleType:
    """Load opclock._core. Raises ExtensionError where it was not built for this interpreter."""
    try:
        return importlib.import_module("opclock._core")
    except ModuleNotFoundError as error:
        raise ExtensionError(NOT_BUILT) from error
    except ImportError as error:
        raise ExtensionError(f"opclock._core does not load ({error}); in opclock's source folder: {REBUILD}") from error


@cache
def process_clock() -> Any:  # noqa: ANN401
    """The clock of this process, calibrated once."""
    return load_core().Clock.choose()


def load_torch() -> ModuleType:
    """Import torch. Raises ExtensionError where it is missing."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ExtensionError(
            f"torch does not import ({error}); install the build for this board, then in opclock's source folder: "
            f"{REBUILD}"
        ) from error


def load_aten() -> ModuleType:
    """Load opclock._aten, after torch, whose libraries it needs.

    Raises ExtensionError where it was built for another torch.
    """
    torch = load_torch()
    built = load_core().BUILD_TORCH
    if not built:
        raise ExtensionError(
            f"opclock was built without torch, torch {torch.__version__} is here now; "
            f"in opclock's source folder: {REBUILD}"
        )
    if built != torch.__version__:
        raise ExtensionError(
            f"opclock was built against torch {built}, torch {torch.__version__} is imported; "
            f"in opclock's source folder: {REBUILD}"
        )
    try:
        return importlib.import_module("opclock._aten")
    except ImportError as error:
        first = str(error).splitlines()[0]
        raise ExtensionError(f"opclock._aten does not load ({first}); in opclock's source folder: {REBUILD}") from error
