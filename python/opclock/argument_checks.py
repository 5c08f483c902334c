"""Checks the arguments of public functions by their annotations: a wrong one ends in one line with the next step."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import reprlib
import types
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from opclock.errors import ModelError, OpclockError, OptionError, ProfileError, TraceError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Limit:
    """What an annotated parameter must fulfil besides its type, and how to ask for it in words."""

    words: str
    holds: Callable[[Any], bool]
    error: type[OpclockError] = OptionError


Count = Annotated[int, Limit("a whole number of at least 1", lambda number: number >= 1)]
Dimension = Annotated[int, Limit("the number of a dimension, from 0", lambda number: number >= 0)]
Seconds = Annotated[float, Limit("a number of seconds above 0", lambda seconds: 0 < seconds < math.inf)]
Minutes = Annotated[float, Limit("a number of minutes above 0", lambda minutes: 0 < minutes < math.inf)]
ModelName = Annotated[str, Limit("a model's name, such as 'zoo:mobilenet' or 'FILE.py:FACTORY'", bool, ModelError)]

_OPEN = "an open profile, as opclock.open_profile(path) and opclock.Profile.open(path) return"
# By name of the class, as this module imports none of them: what to give, and the error where something else is given.
_WORDS: dict[str, tuple[str, type[OpclockError]]] = {
    "Trace": ("a trace, as opclock.trace(model, inputs) returns", TraceError),
    "Module": ("a torch.nn.Module; wrap a function in one", TraceError),
    "Profile": (_OPEN, ProfileError),
    "ProfileReader": (_OPEN, ProfileError),
    "Model": ("opclock.Model(name, module, inputs), or what opclock.load_model(name) returns", ModelError),
    "Settings": ("opclock.Settings(threads, precision)", OptionError),
    "Path": ("a path", OptionError),
    "str": ("a text", OptionError),
    "int": ("a whole number", OptionError),
    "float": ("a number", OptionError),
    "bool": ("True or False", OptionError),
    "Callable": ("a function", OptionError),
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function check its arguments by their annotations before it begins.

    Collections must not be empty, and True and False are no numbers.

    Args:
        function: its parameters have annotations, perhaps with a ``Limit``.

    Returns:
        The function. It raises an OpclockError, with the offending value and what to give instead.
    """
    signature = inspect.signature(function)
    hints = functools.cache(lambda: get_type_hints(function, include_extras=True))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # a missing or unknown argument: Python's own message names the function
            return function(*args, **kwargs)
        for name, value in given.items():
            if name in hints() and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
                _check(name, value, hints()[name])
        return function(*args, **kwargs)

    return call


def check_fields(instance: Any) -> None:  # noqa: ANN401
    """Check the fields of a dataclass as ``checked`` checks arguments; for its ``__post_init__``."""
    hints = get_type_hints(type(instance), include_extras=True)
    for field in dataclasses.fields(instance):
        _check(field.name, getattr(instance, field.name), hints[field.name])


def shown(value: object) -> str:
    """A value in a message: short, on one line. For an object of a class without a short text, its class."""
    if not isinstance(value, str | bytes | int | float | complex | Path | list | tuple | dict | set | type(None)):
        return f"<{type(value).__name__}>"
    return " ".join(reprlib.repr(value).split())


def _check(name: str, value: object, hint: Any) -> None:  # noqa: ANN401
    if not _fits(value, hint):
        words, error = _asked(hint)
        raise error(f"{name}={shown(value)}: give {words}")


def _fits(value: Any, hint: Any) -> bool:  # noqa: ANN401, PLR0911
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Any, object):
        return True
    if kind is Annotated:
        return _fits(value, parts[0]) and all(limit.holds(value) for limit in parts[1:])
    if kind in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts) and not (Path in parts and "\0" in str(value))
    if kind is Literal:
        return isinstance(value, str) and value in parts
    if kind in (Sequence, Iterable):
        return _is_collection(value, kind) and (kind is Iterable or all(_fits(one, parts[0]) for one in value))
    if kind in (int, float):
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(value, kind)


def _is_collection(value: object, kind: type) -> bool:
    """Whether it is one, and not empty as far as that can be known without using it up."""
    if isinstance(value, str | bytes) or (isinstance(value, Sized) and not len(value)):
        return False
    return isinstance(value, kind)


def _asked(hint: Any) -> tuple[str, type[OpclockError]]:  # noqa: ANN401
    """What to give for a parameter, in words, and the error where something else was given."""
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind is Annotated:
        return parts[1].words, parts[1].error
    if kind is Literal:
        return " or ".join(map(repr, parts)), OptionError
    if kind in (Sequence, Iterable):
        words, error = _asked(parts[0])
        return f"a list of at least one, each {words}", error
    if kind in (Union, types.UnionType):
        asked = [_asked(part) for part in parts if part is not type(None) and not (part is str and Path in parts)]
        return " or ".join(words for words, _ in asked), asked[0][1]
    return _WORDS.get(kind.__name__, (f"a {kind.__name__}", OptionError))
