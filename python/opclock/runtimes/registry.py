"""Finds runtimes: the built-in ones and those that installed packages offer, by entry point."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points

from opclock.errors import OptionError, first_line
from opclock.runtimes.runtime import Runtime

GROUP = "opclock.runtimes"
# The order of tables; those of other packages come after them.
BUILT_IN = ("eager", "compile", "onnxruntime", "openvino", "litert", "ncnn", "executorch", "tensorrt")


def names() -> list[str]:
    """Of all runtimes that are registered, whether they can be used here or not."""
    registered = {point.name for point in entry_points(group=GROUP)}
    return [name for name in BUILT_IN if name in registered] + sorted(registered - set(BUILT_IN))


def find(name: str) -> Runtime:
    """The runtime of this name. Raises OptionError for one that is not registered or does not import."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            try:
                runtime: Runtime = point.load()()
            except Exception as error:
                raise OptionError(f"the runtime {name} ({point.value}) does not load: {first_line(error)}") from error
            return runtime
    raise OptionError(f"no runtime {name!r}: there are {', '.join(names())}")


def find_all(listed: Sequence[str]) -> list[Runtime]:
    """The runtimes of these names, each once, eager first for its answers. Raises OptionError as find does."""
    return [find(name) for name in dict.fromkeys(["eager", *listed])]
