"""Loads the model that a user names, with inputs that fit it."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from opclock.errors import ModelError, OptionError, first_line
from opclock.tracing.recorder import Inputs, flat_tensors

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
DEFAULT_IMAGE = {"zoo": (1, 3, 32, 32), "torchvision": (1, 3, 224, 224)}


@dataclass(frozen=True)
class Model:
    """A module in evaluation mode, with inputs and the name that reports give it."""

    name: str
    module: torch.nn.Module
    inputs: Inputs


def parse_input(text: str) -> tuple[tuple[int, ...], ...]:
    """Shapes from "1x3x32x32", several joined by commas. Raises OptionError on anything else."""
    shapes = []
    for item in text.split(","):
        if not re.fullmatch(r"\s*[1-9][0-9]*(x[1-9][0-9]*)*\s*", item):
            raise OptionError(f"--input {text!r} is no shape: write it as 1x3x32x32, several joined by commas")
        shapes.append(tuple(int(size) for size in item.split("x")))
    return tuple(shapes)


def load_model(text: str, *, input_text: str | None = None, dtype: str = "float32", device: str = "cpu",
               weights: Path | None = None) -> Model:  # fmt: skip
    """Build the model a user names.

    Args:
        text: ``zoo:NAME``, ``torchvision:NAME``, ``FILE.py:FACTORY`` or ``package.module:FACTORY``. A factory takes no
            arguments and returns a module, or a module and example inputs (a tuple, or a dict of keyword arguments).
        input_text: shapes of random inputs, instead of the factory's.
        dtype: of parameters and floating-point inputs.
        device: where they are put.
        weights: a state dict to load, saved by ``torch.save(model.state_dict())``.

    Raises:
        ModelError: no such model, or a factory that raises or returns something else.
        OptionError: an input or dtype that makes no sense.
    """
    if dtype not in DTYPES:
        raise OptionError(f"--dtype {dtype}: choose one of {', '.join(DTYPES)}")
    module, inputs = _call_factory(text, _factory(text))
    if weights is not None:
        _load_weights(module, weights)
    if input_text is not None:
        inputs = tuple(torch.randn(shape) for shape in parse_input(input_text))
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


def _display_name(text: str) -> str:
    kind, _, name = text.rpartition(":")  # a path on Windows has a colon of its own
    return name if kind in DEFAULT_IMAGE or kind.endswith(".py") else text


def _converted(inputs: Inputs, dtype: torch.dtype, device: str) -> Inputs:
    from torch.utils._pytree import tree_map_only

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None)

    converted: Inputs = tree_map_only(torch.Tensor, convert, inputs)
    return converted


def _call_factory(text: str, factory: Callable[[], Any]) -> tuple[torch.nn.Module, Inputs | None]:
    try:
        result = factory()
    except Exception as error:
        raise ModelError(f"the factory {text} raised {type(error).__name__}: {first_line(error)}") from error
    if isinstance(result, torch.nn.Module):
        return result, None
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], torch.nn.Module):
        inputs = (result[1],) if isinstance(result[1], torch.Tensor) else result[1]
        if isinstance(inputs, list):
            inputs = tuple(inputs)
        if isinstance(inputs, tuple | dict) and flat_tensors(inputs):
            return result[0], inputs
    raise ModelError(
        f"the factory {text} returned {type(result).__name__}: it must return a torch.nn.Module, "
        "or a module and a tuple of example inputs"
    )


def _factory(text: str) -> Callable[[], Any]:
    kind, colon, name = text.rpartition(":")
    if not colon or not kind or not name:
        raise ModelError(
            f"no model {text!r}: write zoo:NAME, torchvision:NAME, FILE.py:FACTORY or package.module:FACTORY"
        )
    if kind == "zoo":
        return _zoo(name)
    if kind == "torchvision":
        return _torchvision(name)
    module = _load_file(Path(kind)) if kind.endswith(".py") else _import(kind, text)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise ModelError(f"{kind} has no factory {name!r}; it has: {', '.join(known) or 'no functions'}")
    return factory  # type: ignore[no-any-return]


def _zoo(name: str) -> Callable[[], Any]:
    from opclock.models.zoo import LANDSCAPE, ZOO

    if name in LANDSCAPE:
        return LANDSCAPE[name].make
    if name not in ZOO:
        raise ModelError(f"the zoo has no model {name!r}; it has: {', '.join([*ZOO, *LANDSCAPE])}")
    return ZOO[name]


def _torchvision(name: str) -> Callable[[], Any]:
    models = _import("torchvision.models", f"torchvision:{name}")
    if name not in models.list_models():
        raise ModelError(f"torchvision has no model {name!r}; it has: {', '.join(models.list_models())}")
    return lambda: models.get_model(name, weights=None, **_quick_init(name))


def _quick_init(name: str) -> dict[str, Any]:
    """Inception's own initialisation takes minutes and its values do not matter here."""
    return {"init_weights": False} if name in ("inception_v3", "googlenet") else {}


def _import(name: str, text: str) -> Any:  # noqa: ANN401
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ModelError(f"cannot import {name} for {text}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove("")


def _load_file(path: Path) -> Any:  # noqa: ANN401
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    # Known by a name that hides no other module: torch.compile imports it again by that.
    spec = importlib.util.spec_from_file_location(f"opclock_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"{path} cannot be run: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.pop(0)
    return module


def _load_weights(module: torch.nn.Module, path: Path) -> None:
    try:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise ModelError(f"cannot read the weights {path}: {error.strerror}") from error
    except Exception as error:
        raise ModelError(f"the weights {path} do not fit: {first_line(error)}") from error
