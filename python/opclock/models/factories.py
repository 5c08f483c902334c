"""Finds a factory in a file or a package, calls it, and checks the result."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import torch

from opclock.errors import ModelError, described, model_errors, raised
from opclock.files import no_file
from opclock.models.names import KINDS, did_you_mean, nearest
from opclock.tracing.forward import Reset
from opclock.tracing.model_inputs import CallInputs, Inputs, arguments_of, misfit_of, simplest
from opclock.tracing.specs import flat_tensors

EXIT_REMEDY = "; put what exits or needs a command line under if __name__ == '__main__'"

# A module, and its example inputs where they are known.
ModuleAndInputs = tuple[torch.nn.Module, Inputs | None]


class Functions(NamedTuple):
    """Functions that a factory may name in its last item, such as ``{"reset": cache.clear}``.

    ``reset`` puts the state of the model back before each inference. ``prefill`` takes the numbers of a prompt's tokens
    (batch x tokens) and returns the logits of the token after it (batch x vocabulary) and the cache; ``decode`` takes
    one more token (batch x 1) and the cache, and returns the same.
    """

    reset: Reset | None = None
    prefill: Callable[[torch.Tensor], tuple[torch.Tensor, Any]] | None = None
    decode: Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]] | None = None


NO_FUNCTIONS = Functions()

# A module, its example inputs where they are known, and functions that belong to it.
Found = tuple[torch.nn.Module, Inputs | None, Functions]


def from_factory(text: str, place: str, name: str) -> Found:
    """Call a factory that takes no arguments.

    Args:
        text: what the user wrote, for messages.
        place: ``FILE.py`` or ``package.module``.
        name: of the factory in it.

    Returns:
        The module; its example inputs and its functions, where the factory returns them.

    Raises:
        ModelError: there is no such factory; its file or module raises when it is imported; the factory raises, or
            returns something else.
    """
    with factory_of(text, place, name) as factory:
        return made_by(f"the factory {text}", factory)


@contextmanager
def factory_of(text: str, place: str, name: str) -> Iterator[Callable[..., Any]]:
    """Load a file or package and find a function in it. Inside the block it can be called, as in a script.

    Args:
        text: what the user wrote, for messages.
        place: ``FILE.py`` or ``package.module``.
        name: of the function in it.

    Raises:
        ModelError: there is no such function; its file or module raises when it is imported.
    """
    in_file = place.endswith(".py")
    if in_file and not Path(place).is_file():
        raise ModelError(no_file(Path(place)))
    folder = str(Path(place).resolve().parent) if in_file else ""
    with _as_a_script(place, folder):
        module = _load_file(Path(place)) if in_file else _import(place, text)
        yield _factory_in(module, place, name)


def made_by(text: str, factory: Callable[[], Any]) -> Found:
    """Call a factory. Returns and raises as ``from_factory`` does; ``text`` names it in messages: "the factory f"."""
    with model_errors(text):
        result = factory()
    result, functions = _without_functions(text, result)
    module, inputs = checked_result(text, result)
    return module, inputs, functions


def _factory_in(module: Any, place: str, name: str) -> Callable[[], Any]:  # noqa: ANN401
    """The factory of this name. Raises ModelError where there is none, or where the name stands for something else."""
    with model_errors(f"looking up {name} in {place}"):
        factory = getattr(module, name, None)
    if callable(factory) and not isinstance(factory, torch.nn.Module):
        return cast("Callable[[], Any]", factory)
    if factory is None and not hasattr(module, name):
        known = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        functions = [key for key in known if not isinstance(getattr(module, key), type)]
        end = did_you_mean(name, known) or nearest(name, functions or known)
        raise ModelError(f"{place} has no factory {name!r}{end}")
    raise ModelError(
        f"{name!r} in {place} is an object of type {type(factory).__name__}: name a function without arguments that "
        "returns the model"
    )


def _without_functions(text: str, result: Any) -> tuple[Any, Functions]:  # noqa: ANN401
    """A factory's result without a last item such as ``{"reset": cache.clear}``, and its functions."""
    last = result[-1] if isinstance(result, tuple) and len(result) > 1 else None
    if not isinstance(last, dict) or not last or not set(last) <= set(Functions._fields):
        return result, NO_FUNCTIONS
    if not all(map(callable, last.values())) or (len(result) == 2 and "prefill" not in last):  # inputs of these names
        return result, NO_FUNCTIONS
    if ("prefill" in last) != ("decode" in last):
        raise ModelError(f"the last item of {text} names one of prefill and decode: name both")
    return result[:-1] if len(result) > 2 else result[0], Functions(**last)


@contextmanager
def _as_a_script(place: str, folder: str) -> Iterator[None]:
    """Run code as Python runs a script: its folder is first on the path, and the command line holds only its name.

    Afterwards the folder is last on the path: what the model imports in its first forward is found, and hides nothing.
    A parser that needs arguments exits with its complaint, which it would print over several lines.
    """

    def exit_with(self: argparse.ArgumentParser, message: str) -> NoReturn:
        raise SystemExit(f"it read the command line: {message}")

    arguments, parser_error = sys.argv, argparse.ArgumentParser.error
    sys.argv = [place]
    argparse.ArgumentParser.error = exit_with  # type: ignore[method-assign]
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.argv = arguments
        argparse.ArgumentParser.error = parser_error  # type: ignore[method-assign]
        if folder in sys.path:  # the code may have changed the path
            sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _import(name: str, text: str) -> Any:  # noqa: ANN401
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        raise ModelError(f"{name} {raised(error)} when it was imported for {text}{EXIT_REMEDY}") from error
    except BaseException as error:
        hint = did_you_mean(name, KINDS) if isinstance(error, ModuleNotFoundError) and error.name == name else ""
        raise ModelError(f"cannot import {name} for {text}: {described(error)}{hint}") from error


def _load_file(path: Path) -> Any:  # noqa: ANN401
    # The name hides no other module; torch.compile imports the module again by it.
    spec = importlib.util.spec_from_file_location(f"opclock_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        raise ModelError(f"{path} {raised(error)} when it was run{EXIT_REMEDY}") from error
    except BaseException as error:
        raise ModelError(f"{path} cannot be run: {described(error)}") from error
    return module


def checked_result(text: str, result: Any) -> ModuleAndInputs:  # noqa: ANN401
    """Check what a factory returned.

    Args:
        text: names the factory in messages, as "the factory f".
        result: a module; or a module and its inputs: a tensor, a tuple, a list or a mapping; or a module, a tuple of
            positional arguments and a mapping of keyword arguments.

    Returns:
        The module, and its example inputs where the factory returns any.

    Raises:
        ModelError: it is something else.
    """
    if isinstance(result, torch.nn.Module):
        return result, None
    if isinstance(result, tuple | list) and len(result) in (2, 3) and isinstance(result[0], torch.nn.Module):
        given = _inputs(*result[1:])
        if given is not None:
            inputs = simplest(arguments_of(result[0], given))
            if flat_tensors(inputs) or not (misfit := misfit_of(result[0], inputs)):
                return result[0], inputs
            raise ModelError(
                f"{text} returned a module and inputs without a tensor, but {misfit}: return the inputs "
                "too, or the module alone and give --input"
            )
    raise ModelError(
        f"{text} returned {_described(result)}: it must return a torch.nn.Module, or a module and its "
        "example inputs (a tensor, a tuple, a mapping, or a tuple and a mapping)"
    )


def _inputs(first: Any, named: Any = None) -> Inputs | None:  # noqa: ANN401
    """The inputs in a factory's result; None for what is no inputs."""
    if named is not None:
        fits = isinstance(first, list | tuple) and isinstance(named, Mapping)
        return CallInputs(tuple(first), dict(named)) if fits else None
    if isinstance(first, torch.Tensor):
        return (first,)
    if isinstance(first, list):
        return tuple(first)
    return first if isinstance(first, tuple | Mapping) else None


def _described(result: Any) -> str:  # noqa: ANN401
    if not isinstance(result, tuple | list):
        return type(result).__name__
    return f"{type(result).__name__} of {', '.join(type(item).__name__ for item in result) or 'nothing'}"
