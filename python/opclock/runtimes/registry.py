"""Finds runtimes by entry point: built-in ones and those of other installed packages."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

from opclock.errors import OptionError, first_line
from opclock.runtimes.runtime import Runtime

GROUP = "opclock.runtimes"
# The order in tables; runtimes of other packages follow.
BUILT_IN = ("eager", "compile", "onnxruntime", "openvino", "litert", "ncnn", "executorch", "tensorrt")


def names() -> list[str]:
    """The names of all registered runtimes, whether they can be used here or not."""
    registered = {point.name for point in entry_points(group=GROUP)}
    return [name for name in BUILT_IN if name in registered] + sorted(registered - set(BUILT_IN))


def find(name: str) -> Runtime:
    """Find a runtime by its name. Raises OptionError where it is not registered or cannot be imported."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            try:
                runtime: Runtime = point.load()()
            except Exception as error:
                raise OptionError(f"the runtime {name} ({point.value}) does not load: {first_line(error)}") from error
            return runtime
    raise OptionError(f"no runtime {name!r}: there are {', '.join(names())}")


def find_all(listed: Sequence[str]) -> list[Runtime]:
    """Find runtimes by name, each once. Eager comes first for its answers. Raises OptionError as ``find``."""
    return [find(name) for name in dict.fromkeys(["eager", *listed])]
