"""A hash of the code that a model runs between its op calls. Where the code differs, so may the host's time."""

from __future__ import annotations

import dis
import functools
import hashlib
import re
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from opclock.tracing.code_state import Cached, is_users
from opclock.tracing.model_state import CONTAINERS, PLAIN, filled, reachable

ENTRIES = ("forward", "__call__")  # what PyTorch calls
ANY_PYTHON = "any"  # the kind of a hash without bytecode
LARGEST = 1_000  # elements: larger containers hold data, not functions
INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")
MANGLED = re.compile(r"\.?___torch_mangle_\d+")  # TorchScript numbers the classes that a process loads
STORES = tuple(dis.opmap[name] for name in ("STORE_GLOBAL", "STORE_ATTR"))
STORE_DEREF = dis.opmap["STORE_DEREF"]
STANDARD = vars(sys)  # the global names of code that does not count
Partial = (functools.partial, functools.partialmethod)
Scripted = (torch.jit.ScriptModule, torch.jit.ScriptFunction)


def code_hash(model: torch.nn.Module) -> str:
    """Hash the code that a model runs between its op calls.

    These are the forward of its modules, its hooks, and the functions, methods and classes of the user's files that
    this code names, with their defaults, closures and named numbers and texts. Comments and places in files do not
    count. Of installed packages the version counts. PyTorch does not: a profile belongs to one version of it.

    Args:
        model: the model. It is not run.

    Returns:
        The kind of bytecode and 16 hexadecimal digits, such as "cpython-312:6b1f0c5e8d2a4f70": hashes of different
        kinds cannot be compared. Hashes of installed packages and TorchScript alone are of the kind "any". "" where all
        code is PyTorch's, opclock's or the standard library's.
    """
    search = _Search()
    for item in reachable((model,)):
        search.meet(item)
    for module in model.modules():
        search.meet(vars(type(module)).get("forward"))  # also one that torch.fx has generated
    facts = search.facts()
    if not facts:
        return ""
    kind = sys.implementation.cache_tag if search.has_bytecode else ANY_PYTHON
    return f"{kind}:{_digest(sorted(facts))}"


class _Search:
    """Finds functions by the names that other functions use."""

    def __init__(self) -> None:
        self.has_bytecode = False
        self._facts: set[str] = set()
        self._cells: set[tuple[str, str]] = set()  # names in closures, and their plain values as text
        self._names = set(ENTRIES)
        self._assigned: set[str] = set()  # names of what the code changes: a state, which a run leaves different
        self._scopes: dict[int, Mapping[str, Any]] = {}  # names of files and classes
        self._met: dict[int, Any] = {}  # keeps temporary objects alive, so that no identity is used twice

    def facts(self) -> set[str]:
        """A text for each function, and for each number or text that these functions name."""
        count = -1
        while count < len(self._met):  # a function that is found names others
            count = len(self._met)
            for scope in list(self._scopes.values()):
                for name in scope.keys() & self._names:
                    self.meet(scope[name])
        constants = (
            f"{name}={scope[name]!r}"
            for scope in self._scopes.values() for name in (scope.keys() & self._names) - self._assigned
            if not name.startswith("__") and _is_plain(scope[name])
        )  # fmt: skip
        closures = (f"{name}={text}" for name, text in self._cells if name not in self._assigned)
        return self._facts.union(constants, closures)

    def meet(self, value: Any) -> None:  # noqa: ANN401
        """Take in an object that the code may call, and what is inside it."""
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, PLAIN) or id(item) in self._met:
                continue
            self._met[id(item)] = item
            if isinstance(item, types.FunctionType):
                self._read(item)
            elif isinstance(item, Scripted):
                self._facts.update(_graph(item))
            elif isinstance(item, types.ModuleType):
                self._open(item, vars(item), vars(item))
            else:
                for one in (item if isinstance(item, type) else type(item)).__mro__:
                    self._open(one, vars(one), _file_of(one))
            if isinstance(item, Partial) and _package(getattr(item.func, "__globals__", STANDARD)) == "":
                self._facts.add(_plain_text([*item.args, *sorted(item.keywords.items())]))
            stack.extend(_inside(item))

    def _open(self, owner: object, names: Mapping[str, Any], file: Mapping[str, Any]) -> None:
        """Look up names in a class or a file of the user's from now on."""
        if _package(file) == "":
            self._scopes[id(owner)] = names

    def _read(self, function: types.FunctionType) -> None:
        """Note a function's code, and the names that it uses."""
        package = _package(function.__globals__)
        if package is None:
            return
        if package:
            self._facts.add(package)
            return
        self.has_bytecode = True
        self._scopes[id(function.__globals__)] = function.__globals__
        self._facts.add(f"{function.__qualname__} {_text(function.__code__)} {_defaults(function)}")
        self._cells.update((name, repr(value)) for name, value in _cells(function) if _is_plain(value))
        for code in _nested(function.__code__):
            self._names.update(code.co_names)
            self._assigned.update(_assigned(code))


def _package(file: Mapping[str, Any]) -> str | None:
    """Where code is from, by the global names of its file.

    Returns:
        "" for the user's own code, and for what was generated; the name and version of an installed package; None for
        code that does not count.
    """
    name = str(file.get("__name__"))
    if not is_users(name):
        return None
    if not INSTALLED.search(str(file.get("__file__"))):
        return ""
    package = name.partition(".")[0]
    return f"{package} {vars(sys.modules[package]).get('__version__', '') if package in sys.modules else ''}"


def _file_of(kind: type) -> Mapping[str, Any]:
    module = sys.modules.get(str(kind.__module__))
    return vars(module) if isinstance(module, types.ModuleType) else {"__name__": kind.__module__}


def _inside(item: Any) -> Iterator[Any]:  # noqa: ANN401
    """What is called where this is: functions behind wrappers, in closures, in containers and in the user's classes."""
    if isinstance(item, types.FunctionType):
        yield from (value for _, value in _cells(item))
        yield from item.__defaults__ or ()
        yield from (item.__kwdefaults__ or {}).values()
    elif isinstance(item, types.MethodType | staticmethod | classmethod):
        yield item.__func__
    elif isinstance(item, property):
        yield item.fget
    elif isinstance(item, Partial):
        yield from (item.func, *item.args, *item.keywords.values())
    elif isinstance(item, Cached):
        yield item.__wrapped__
    elif isinstance(item, type):
        yield from vars(item).values() if _package(_file_of(item)) == "" else ()
    elif isinstance(item, (tuple, *CONTAINERS)) and len(item) <= LARGEST:
        yield from list(dict.values(item) if isinstance(item, dict) else item)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _assigned(code: types.CodeType) -> set[str]:
    """Global names and attributes that the code assigns; all its closure's where it assigns one of them.

    An index above 255 has a prefix, and is not looked at.
    """
    opcodes, indices = code.co_code[::2], code.co_code[1::2]
    pairs = zip(opcodes, indices, strict=True)
    names = {code.co_names[index] for opcode, index in pairs if opcode in STORES and index < len(code.co_names)}
    return names.union(code.co_freevars) if STORE_DEREF in opcodes else names


def _defaults(function: types.FunctionType) -> str:
    return _plain_text([*(function.__defaults__ or ()), *sorted((function.__kwdefaults__ or {}).items())])


def _cells(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The names and values of its closure, but for the class that ``super()`` needs."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return ((name, cell.cell_contents) for name, cell in cells if name != "__class__" and filled(cell))


def _is_plain(value: Any) -> bool:  # noqa: ANN401
    return all(map(_is_plain, value)) if isinstance(value, tuple) else isinstance(value, PLAIN)


def _plain_text(values: Iterable[Any]) -> str:
    """Values as text, with a mark for each that is no number or text: its text may hold an address."""
    return repr([value if _is_plain(value) else "..." for value in values])


def _text(constant: Any) -> str:  # noqa: ANN401
    """A constant of bytecode as text that is equal in each process."""
    if isinstance(constant, types.CodeType):
        names = (constant.co_names, constant.co_freevars, constant.co_exceptiontable)
        return _digest([constant.co_code.hex(), repr(names), *map(_text, constant.co_consts)])
    if isinstance(constant, frozenset):
        return f"frozenset {sorted(map(_text, constant))}"  # their order depends on the process
    return repr(tuple(map(_text, constant))) if isinstance(constant, tuple) else repr(constant)


def _graph(scripted: Any) -> tuple[str, ...]:  # noqa: ANN401
    """What TorchScript runs, without places in files. A part that is not called by itself has nothing."""
    try:
        return (MANGLED.sub("", scripted.inlined_graph.str(False)),)
    except (AttributeError, RuntimeError):
        return ()


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode(errors="backslashreplace")).hexdigest()[:16]
