"""What a converted model was made from: its weights, its code, its inputs and the programs that converted it."""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opclock.runtimes.batching import Batching
from opclock.runtimes.nesting import array_of, tensors_in
from opclock.version import VERSION

if TYPE_CHECKING:
    import torch

    from opclock.tracing.model_inputs import Inputs

PLAIN = (bool, int, float, complex, str, type(None))


def converters() -> dict[str, str]:
    """Versions by package, of what takes part in every conversion."""
    return {"opclock": VERSION, "torch": version("torch")}


def digest_of(module: torch.nn.Module, inputs: Inputs, batching: Batching) -> str:
    """A digest of all that decides what a converter makes of a model, apart from the converter and its options.

    Args:
        module: the model, with its final weights.
        inputs: its example inputs. The size of the batch does not matter.
        batching: where the batch is.

    Returns:
        Hexadecimal digits.
    """
    digest = hashlib.sha256(repr((_shape_of(inputs, list(batching.dims)), batching.dims)).encode())
    for name, submodule in module.named_modules():
        digest.update(repr((name, type(submodule).__qualname__, submodule.training, _settings(submodule))).encode())
        for own, tensor in (*submodule.named_parameters(recurse=False), *submodule.named_buffers(recurse=False)):
            array = array_of(tensor)
            digest.update(repr((own, tensor.dtype, array.shape)).encode() + array.tobytes())
    for path in sorted(set(_sources(module))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _shape_of(value: Any, dims: list[int | None]) -> Any:  # noqa: ANN401
    """The inputs' nesting with constants, and with shapes and dtypes in place of tensors."""
    import torch

    if isinstance(value, torch.Tensor):
        dim = dims.pop(0)
        return value.dtype, [size for axis, size in enumerate(value.shape) if axis != dim]
    if not tensors_in(value):
        return repr(value)
    items = value.items() if hasattr(value, "items") else enumerate(value)
    return type(value).__name__, [(key, _shape_of(item, dims)) for key, item in items]


def _settings(submodule: torch.nn.Module) -> list[tuple[str, str]]:
    """Plain attributes: strides, factors, modes."""
    return sorted(
        (name, repr(value))
        for name, value in vars(submodule).items()
        if isinstance(value, PLAIN)
        or (isinstance(value, list | tuple) and all(isinstance(item, PLAIN) for item in value))
    )


def _sources(module: torch.nn.Module) -> Iterator[Path]:
    """The files of the module's classes, and all imported files that belong to no installed package."""
    for kind in {type(submodule) for submodule in module.modules()}:
        if not kind.__module__.startswith("torch."):  # torch's version stands for it
            try:
                yield Path(inspect.getfile(kind))
            except (TypeError, OSError):
                continue  # defined in a console
    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for known in list(sys.modules.values()):
        file = getattr(known, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        path = Path(file)
        own = path.is_file() and known.__name__.partition(".")[0] not in ("opclock", "torch", "__main__")
        if own and "site-packages" not in path.parts and not any(path.is_relative_to(place) for place in installed):
            yield path
