"""State that a model's code keeps outside the model: in module globals, in classes, and in cached functions."""

from __future__ import annotations

import functools
import sys
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch

NO_STATE = ("torch", "opclock", *sys.stdlib_module_names)  # packages whose state is no model's
LARGEST = 10_000  # elements: larger containers are data sets and vocabularies
PLAIN_CONTAINERS = (dict, list, set, tuple, deque, OrderedDict, defaultdict)
Cached = functools._lru_cache_wrapper
CODE = (type, types.FunctionType, types.ModuleType, property, staticmethod, classmethod, Cached)


def is_users(name: str | None) -> bool:
    """Whether a Python module is neither PyTorch's, opclock's nor of the standard library."""
    return str(name).partition(".")[0] not in NO_STATE


def _owners(modules: Iterable[torch.nn.Module]) -> list[Any]:
    """The Python modules and classes that hold the code of a model, and the Python modules of functions it imports."""
    classes = dict.fromkeys(one for module in modules for one in type(module).__mro__ if is_users(one.__module__))
    files = dict.fromkeys(one.__module__ for one in classes)
    for name in list(files):
        for value in list(vars(sys.modules[name]).values()) if name in sys.modules else ():
            if isinstance(value, types.FunctionType | Cached) and is_users(value.__module__):
                files[value.__module__] = None
    return [*(sys.modules[name] for name in files if name in sys.modules), *classes]


def _is_state(name: str, value: Any) -> bool:  # noqa: ANN401
    return not name.startswith("__") and not isinstance(value, CODE)


def _state(owner: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in list(vars(owner).items()) if _is_state(name, value)}


class CodeState:
    """What the attributes of Python modules and classes are at one time, and how full their caches are."""

    def __init__(self, modules: Iterable[torch.nn.Module]) -> None:
        self._before = [(owner, _state(owner)) for owner in _owners(modules)]
        self._caches = [(function, function.cache_info().currsize) for function in self._cached()]

    def _cached(self) -> Iterator[Any]:
        for owner, _ in self._before:
            for value in vars(owner).values():
                function = getattr(value, "__func__", value)  # of a static or class method
                if isinstance(function, Cached):
                    yield function

    def values(self) -> list[Any]:
        """What they hold now: numbers, tensors, containers that are not large, and objects of the user's classes."""
        held = [value for owner, _ in self._before for value in _state(owner).values()]
        return [value for value in held if _may_change(value)]

    def restore(self) -> None:
        """Put attributes back, and empty the caches that got entries, which may be tensors without values."""
        for owner, before in self._before:
            now = _state(owner)
            for name in now.keys() - before.keys():
                delattr(owner, name)
            for name, value in before.items():
                if name not in now or now[name] is not value:
                    setattr(owner, name, value)
        for function, size in self._caches:
            if function.cache_info().currsize != size:
                function.cache_clear()

    def sizes(self) -> tuple[int, ...]:
        """How full the caches are."""
        return tuple(function.cache_info().currsize for function in self._cached())


def _may_change(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, dict | list | set | tuple | deque):  # subclasses may do anything where they are read
        return type(value) in PLAIN_CONTAINERS and len(value) <= LARGEST
    return isinstance(value, torch.Tensor | torch.Generator | int | float | None) or is_users(type(value).__module__)
