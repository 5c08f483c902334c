"""Finds a model's factory by its name, calls it, and checks the result."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from opclock.errors import ModelError, first_line
from opclock.tracing.specs import Inputs, flat_tensors


def find_factory(text: str) -> Callable[[], Any]:
    """Find the factory that a user names.

    Args:
        text: ``zoo:NAME``, ``torchvision:NAME``, ``FILE.py:FACTORY`` or ``package.module:FACTORY``.

    Raises:
        ModelError: there is no such factory, or its file or module raises when it is imported.
    """
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
    """Skip the default initialisation of Inception models: it takes minutes, and the weights do not affect timing."""
    return {"init_weights": False} if name in ("inception_v3", "googlenet") else {}


def _import(name: str, text: str) -> Any:  # noqa: ANN401
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except SystemExit as error:
        raise ModelError(f"{name} exited (sys.exit) when it was imported for {text}") from error
    except Exception as error:
        raise ModelError(f"cannot import {name} for {text}: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.remove("")


def _load_file(path: Path) -> Any:  # noqa: ANN401
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    # The name hides no other module; torch.compile imports the module again by it.
    spec = importlib.util.spec_from_file_location(f"opclock_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        raise ModelError(
            f"{path} exited (sys.exit) when it was run; put the exit under if __name__ == '__main__'"
        ) from error
    except Exception as error:
        raise ModelError(f"{path} cannot be run: {type(error).__name__}: {first_line(error)}") from error
    finally:
        sys.path.pop(0)
    return module


def call_factory(text: str, factory: Callable[[], Any]) -> tuple[torch.nn.Module, Inputs | None]:
    """Call a factory and check what it returns.

    Args:
        text: the factory's name, for messages.
        factory: takes no arguments.

    Returns:
        The module, and its example inputs where the factory returns any.

    Raises:
        ModelError: the factory raises, or returns something else.
    """
    try:
        result = factory()
    except SystemExit as error:
        raise ModelError(f"the factory {text} exited (sys.exit); it must return a module") from error
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
