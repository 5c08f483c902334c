"""A model's example inputs, in each form that users have them, and the call of the model with them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
from torch.utils._pytree import SUPPORTED_NODES, register_pytree_node


class CallInputs(NamedTuple):
    """The positional and the keyword arguments of one call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


# Positional arguments; keyword arguments, or one mapping that is the argument; or both kinds.
Inputs = tuple[Any, ...] | Mapping[str, Any] | CallInputs


def arguments_of(model: torch.nn.Module, inputs: object) -> CallInputs:
    """Sort example inputs into positional and keyword arguments.

    Args:
        model: what is called with them.
        inputs: positional arguments in a tuple or list, a mapping, or one argument. A mapping holds keywords if
            the model's forward has parameters of these names; otherwise it is the only argument.

    Returns:
        The arguments. Mappings of any type inside them are known to PyTorch's tree functions afterwards.
    """
    if not isinstance(inputs, CallInputs):
        if isinstance(inputs, Mapping):
            inputs = CallInputs((), dict(inputs)) if _takes(model, inputs) else CallInputs((inputs,), {})
        elif isinstance(inputs, list | tuple) and not hasattr(inputs, "_fields"):
            inputs = CallInputs(tuple(inputs), {})
        else:
            inputs = CallInputs((inputs,), {})
    _register_mappings(inputs)
    return inputs


def simplest(inputs: CallInputs) -> Inputs:
    """The same as a tuple of positional arguments, or as a dict of keyword arguments, where there is only one kind."""
    if not inputs.kwargs:
        return inputs.args
    return inputs if inputs.args else inputs.kwargs


def _takes(model: torch.nn.Module, named: Mapping[str, Any]) -> bool:
    """Whether the forward can be called with these names as keywords."""
    if not all(isinstance(name, str) for name in named):
        return False
    if isinstance(model, torch.jit.ScriptModule):  # its Python signature is only (*args, **kwargs)
        return set(named) <= {argument.name for argument in cast("Any", model.forward).schema.arguments}
    try:
        inspect.signature(model.forward).bind(**named)
    except TypeError:
        return False
    except ValueError:  # no signature to ask
        return True
    return True


def _register_mappings(value: Any) -> None:  # noqa: ANN401
    """Let PyTorch's tree functions see inside mappings that are no dict, such as what a tokenizer returns."""
    if isinstance(value, Mapping):
        kind: Any = type(value)
        if kind not in SUPPORTED_NODES:
            register_pytree_node(
                kind,
                lambda mapping: (list(mapping.values()), list(mapping)),
                lambda items, names: kind(dict(zip(names, items, strict=True))),
            )
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _register_mappings(item)
