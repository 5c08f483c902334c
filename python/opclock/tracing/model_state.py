"""What a run of a model may change: attributes, lists, caches, globals, random generators, and PyTorch's settings."""

from __future__ import annotations

import functools
import random
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from opclock.tracing.code_state import CodeState
from opclock.tracing.torch_state import TorchState

PLAIN = (int, float, complex, str, bytes, bool, type(None))
CONTAINERS = (dict, list, set, deque)


def _parts(item: Any) -> Iterator[Any]:  # noqa: ANN401
    """What an object holds, in a fixed order. Classes, modules and objects of the standard library are no state."""
    if isinstance(item, dict):
        yield from dict.keys(item)
        yield from dict.values(item)
    elif isinstance(item, list | tuple | deque):
        yield from item
    elif isinstance(item, types.MethodType):
        yield item.__self__
    elif isinstance(item, functools.partial):
        yield from (item.func, item.args, item.keywords)
    elif isinstance(item, types.FunctionType):
        yield from (cell.cell_contents for cell in item.__closure__ or () if filled(cell))
    elif _has_state(item):
        yield vars(item)


def filled(cell: types.CellType) -> bool:
    """Whether a variable of a closure has a value other than None."""
    try:
        return cell.cell_contents is not None
    except ValueError:  # empty
        return False


def _has_state(item: Any) -> bool:  # noqa: ANN401
    if isinstance(item, type | types.ModuleType | torch.Tensor | torch.Generator) or not hasattr(item, "__dict__"):
        return False
    return type(item).__module__.partition(".")[0] not in sys.stdlib_module_names


def reachable(root: Any) -> Iterator[Any]:  # noqa: ANN401
    """An object and all that it holds, each once, in a fixed order."""
    seen: dict[int, Any] = {}  # keeps temporary objects alive, so that no identity is used twice
    stack = [root]
    while stack:
        item = stack.pop()
        if not isinstance(item, PLAIN):
            if id(item) in seen:
                continue
            seen[id(item)] = item
            stack.extend(_parts(item))
        yield item


def _random_state() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


class ModelState:
    """The state of a model and its inputs at one time."""

    def __init__(self, *roots: Any) -> None:  # noqa: ANN401
        self._roots = roots
        self._random = _random_state()
        self._torch = TorchState()
        modules = [item for item in reachable(roots) if isinstance(item, torch.nn.Module)]
        self._code = CodeState(modules)
        everything = list(reachable((roots, self._code.values())))
        self._contents = [(item, _copied(item)) for item in everything if isinstance(item, CONTAINERS)]
        self._generators = [(item, item.get_state()) for item in everything if isinstance(item, torch.Generator)]

    def restore(self) -> None:
        """Put everything back. Tensors' values are restored elsewhere, see ``Execution.restore``."""
        for item, before in self._contents:
            if not _same(item, before):
                item.clear()
                item.extend(before) if isinstance(item, list | deque) else item.update(before)
        self._code.restore()
        for generator, state in self._generators:
            generator.set_state(state)
        self._torch.restore()
        random.setstate(self._random[0])
        np.random.set_state(self._random[1])
        torch.set_rng_state(self._random[2])

    def changed(self) -> str:
        """Name what a run has changed: an attribute or random numbers; empty where it is neither."""
        for root in self._roots:
            for path, module in root.named_modules() if isinstance(root, torch.nn.Module) else ():
                before = dict(next(saved for item, saved in self._contents if item is vars(module)))
                for name, value in vars(module).items():
                    if isinstance(value, PLAIN) and before.get(name) != value:
                        where = f"{path}.{name}" if path else name
                        return f"Its attribute {where} went from {before.get(name)!r} to {value!r}"
        drawn = repr(self._random) != repr(_random_state())
        return "It draws random numbers" if drawn else ""

    def fingerprint(self) -> int:
        """A number that differs where attributes, counters, caches' sizes or random states do."""
        python, numpy, torch_random = _random_state()
        random_bytes = (hash(python), numpy[1].tobytes(), numpy[2], torch_random.numpy().tobytes())
        everything = reachable((self._roots, self._code.values()))
        return hash((random_bytes, self._code.sizes(), *(_mark(item) for item in everything)))


def _mark(item: Any) -> Any:  # noqa: ANN401
    if isinstance(item, PLAIN):
        return type(item).__name__, item
    if isinstance(item, torch.Tensor):
        return tuple(item.shape), item.dtype
    if isinstance(item, torch.Generator):
        return item.get_state().numpy().tobytes()
    return type(item).__name__, len(item) if isinstance(item, CONTAINERS) else 0


def _copied(container: Any) -> Any:  # noqa: ANN401
    """A container's items. Those of a dictionary as they lie in it: a subclass may make new ones for who asks."""
    return dict(dict.items(container)) if isinstance(container, dict) else container.copy()


def _same(now: Any, before: Any) -> bool:  # noqa: ANN401
    """Whether a container holds the same objects in the same order."""
    if len(now) != len(before):
        return False
    if isinstance(now, set):
        return bool(now == before)
    if isinstance(now, dict) and not all(a is b for a, b in zip(dict.values(now), before.values(), strict=True)):
        return False
    return all(a is b for a, b in zip(now, before, strict=True))
