"""Loads the model that a user names, with inputs that fit it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from opclock.errors import ModelError, OptionError, first_line
from opclock.models.factories import call_factory, find_factory
from opclock.tracing.specs import Inputs

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
DEFAULT_IMAGE = {"zoo": (1, 3, 32, 32), "torchvision": (1, 3, 224, 224)}


@dataclass(frozen=True)
class Model:
    """A module in evaluation mode, with example inputs and its name in reports."""

    name: str
    module: torch.nn.Module
    inputs: Inputs


def parse_input(text: str) -> tuple[tuple[int, ...], ...]:
    """Parse shapes such as "1x3x32x32", several joined by commas. Raises OptionError for any other text."""
    shapes = []
    for item in text.split(","):
        if not re.fullmatch(r"\s*[1-9][0-9]*(x[1-9][0-9]*)*\s*", item):
            raise OptionError(f"--input {text!r} is not a shape: write it as 1x3x32x32, several joined by commas")
        shapes.append(tuple(int(size) for size in item.split("x")))
    return tuple(shapes)


def load_model(text: str, *, input_text: str | None = None, dtype: str = "float32", device: str = "cpu",
               weights: Path | None = None) -> Model:  # fmt: skip
    """Build the model that a user names.

    Args:
        text: ``zoo:NAME``, ``torchvision:NAME``, ``FILE.py:FACTORY`` or ``package.module:FACTORY``. A factory takes no
            arguments and returns a module, or a module and example inputs (a tuple, or a dict of keyword arguments).
        input_text: shapes of random inputs, such as "1x3x224x224", instead of the factory's inputs.
        dtype: type of parameters and floating-point inputs.
        device: where parameters and inputs are placed.
        weights: a state dict to load, saved by ``torch.save(model.state_dict())``.

    Returns:
        The module in evaluation mode on the device, its inputs and its name.

    Raises:
        ModelError: there is no such model, its factory raises or returns something else, or the weights do not fit.
        OptionError: an invalid input or dtype.
    """
    if dtype not in DTYPES:
        raise OptionError(f"--dtype {dtype}: choose one of {', '.join(DTYPES)}")
    module, inputs = call_factory(text, find_factory(text))
    if weights is not None:
        _load_weights(module, weights)
    if input_text is not None:
        inputs = _random(input_text)
    if inputs is None:
        kind = text.rpartition(":")[0]
        if kind not in DEFAULT_IMAGE:
            raise ModelError(f"{text} returns no example inputs: give --input, such as --input 1x3x224x224")
        inputs = (torch.randn(DEFAULT_IMAGE[kind]),)
    try:
        module = module.to(device=device, dtype=DTYPES[dtype]).eval()
        inputs = _converted(inputs, DTYPES[dtype], device)
    except (RuntimeError, AssertionError, MemoryError) as error:
        raise ModelError(f"{text} cannot be put on {device} as {dtype}: {first_line(error)}") from error
    return Model(_display_name(text), module, inputs)


def _random(text: str) -> Inputs:
    """Random tensors of these shapes. Raises OptionError where they do not fit into memory."""
    shapes = parse_input(text)
    try:
        return tuple(torch.randn(shape) for shape in shapes)
    except (RuntimeError, MemoryError, TypeError, OverflowError) as error:
        raise OptionError(f"--input {text}: no memory for a tensor of this size; give a smaller shape") from error


def _display_name(text: str) -> str:
    kind, _, name = text.rpartition(":")  # a Windows path also has a colon
    return name if kind in DEFAULT_IMAGE or kind.endswith(".py") else text


def _converted(inputs: Inputs, dtype: torch.dtype, device: str) -> Inputs:
    from torch.utils._pytree import tree_map_only

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

    converted: Inputs = tree_map_only(torch.Tensor, convert, inputs)
    return converted


def _load_weights(module: torch.nn.Module, path: Path) -> None:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror or first_line(error)}") from error
    except Exception as error:  # of many kinds: what stands in the file decides
        raise ModelError(f"{path} is no file of weights: name one that torch.save wrote from a state dict") from error
    try:
        module.load_state_dict(state)
    except Exception as error:
        raise ModelError(f"the weights {path} do not fit: {first_line(error)}") from error
