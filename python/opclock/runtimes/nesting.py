"""Between nested inputs and outputs of a model, and the flat tensors that converters take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    import torch

    from opclock.tracing.model_inputs import Inputs


def tensors_in(value: Any) -> list[torch.Tensor]:  # noqa: ANN401
    """All tensors in nested lists, tuples, mappings and dataclasses, in order.

    Raises TypeError for a value that may hold tensors that cannot be found.
    """
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    if is_dataclass(value) and not isinstance(value, type):
        return [tensor for field in fields(value) for tensor in tensors_in(getattr(value, field.name))]
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return []
    if isinstance(value, torch.dtype | torch.device | torch.memory_format | torch.layout):
        return []
    raise TypeError(f"a {type(value).__name__} among inputs or outputs: only tensors, numbers, lists, tuples, "
                    "mappings and dataclasses can be compared")  # fmt: skip


def flattened(module: torch.nn.Module, inputs: Inputs) -> torch.nn.Module:
    """Wrap a module for converters: it takes tensors by position and returns a tuple of tensors.

    Args:
        module: the module.
        inputs: its example inputs. Numbers and other constants among them stay as they are, nested tensors keep their
            places.

    Returns:
        The wrapper.
    """
    import torch

    from opclock.tracing.model_inputs import arguments_of

    given = arguments_of(module, inputs)

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            args, kwargs = filled(given, iter(tensors))
            return tuple(tensors_in(self.model(*args, **kwargs)))

    flat = Flat()
    flat.training = False  # eval() would change the module, and an exported one has none
    return flat


def filled(structure: Any, tensors: Iterator[torch.Tensor]) -> Any:  # noqa: ANN401
    """The structure with other tensors in the places of its own, in order."""
    import torch

    if isinstance(structure, torch.Tensor):
        return next(tensors)
    if isinstance(structure, dict):
        return {key: filled(value, tensors) for key, value in structure.items()}
    if isinstance(structure, Mapping):
        return type(structure)({key: filled(value, tensors) for key, value in structure.items()})  # type: ignore[call-arg]
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*[filled(value, tensors) for value in structure])
    if isinstance(structure, list | tuple):
        return type(structure)([filled(value, tensors) for value in structure])
    return structure


def array_of(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The tensor as an array. bfloat16 and float16 become float32; integers and booleans stay exact."""
    import torch

    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    array: npt.NDArray[Any] = (plain.float() if plain.dtype in (torch.bfloat16, torch.float16) else plain).numpy()
    return array
