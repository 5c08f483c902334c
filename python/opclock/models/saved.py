"""Models in files: exported programs (.pt2) and TorchScript."""

from __future__ import annotations

from pathlib import Path

import torch

from opclock.errors import ModelError, first_line
from opclock.files import no_file
from opclock.models.factories import ModuleAndInputs
from opclock.models.output import without_log
from opclock.tracing.model_inputs import CallInputs, simplest

EXPORTED = (".pt2",)
SCRIPTS = (".pt", ".pth", ".ts", ".torchscript")
SAVED = (*EXPORTED, *SCRIPTS)


def from_file(path: Path) -> ModuleAndInputs:
    """Load a model from a file.

    Args:
        path: ends in one of ``SAVED``.

    Returns:
        The module, and the example inputs that an exported program holds.

    Raises:
        ModelError: there is no such file, or it is something else.
    """
    if not path.is_file():
        raise ModelError(no_file(path))
    return _exported(path) if path.suffix in EXPORTED else (_script(path), None)


def _exported(path: Path) -> ModuleAndInputs:
    try:
        with without_log():  # of a traceback; the message here says it in one line
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # of many kinds: what stands in the file decides
        raise ModelError(
            f"{path} is no exported program ({first_line(error)}): write it with torch.export.save, with this PyTorch"
        ) from error
    given = program.example_inputs
    return module, None if given is None else simplest(CallInputs(tuple(given[0]), dict(given[1])))


def _script(path: Path) -> torch.nn.Module:
    try:
        module: torch.nn.Module = torch.jit.load(path, map_location="cpu")
    except Exception as error:  # as above
        raise ModelError(
            f"{path} is no TorchScript: write it with torch.jit.save or torch.export.save; a state dict goes to "
            "--weights, with a factory for the model"
        ) from error
    return module
