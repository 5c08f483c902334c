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
    signature = _signature_of(model)
    if isinstance(model, torch.jit.ScriptModule):
        return set(named) <= set(signature.parameters) if signature else False
    return not _unbound(signature, CallInputs((), dict(named)))


def misfit_of(model: torch.nn.Module, inputs: object) -> str:
    """Why a model's forward cannot be called with these inputs, judged by its signature. "" where it can.

    Args:
        model: the model.
        inputs: in any form that ``arguments_of`` takes.

    Returns:
        The end of a message, which names what the forward takes.
    """
    signature = _signature_of(model)
    given = arguments_of(model, inputs)
    if isinstance(inputs, Mapping) and signature and set(inputs) & set(signature.parameters):
        given = CallInputs((), dict(inputs))  # some of its names are keywords, so all were meant to be
    why = _unbound(signature, given)
    if not why or signature is None:
        return ""
    return f"the forward of {type(model).__name__} takes {_named(signature)} ({why})"


def mapping_note(model: torch.nn.Module, inputs: object) -> str:
    """For messages: that a model was called with one mapping, because its forward has no parameters of those names.

    "" where it was called with something else.
    """
    args, kwargs = arguments_of(model, inputs)
    signature = _signature_of(model)
    if len(args) != 1 or kwargs or not isinstance(args[0], Mapping) or signature is None:
        return ""
    names = ", ".join(map(str, args[0]))
    return f"its forward takes {_named(signature)}, and was given one mapping with {names}"


def _named(signature: inspect.Signature) -> str:
    """The names of parameters."""
    named = [one for one in signature.parameters.values() if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return ", ".join(one.name + ("" if one.default is one.empty else " (optional)") for one in named) or "no input"


def _signature_of(model: torch.nn.Module) -> inspect.Signature | None:
    """The parameters of a model's forward; None where there are none to ask."""
    try:
        if not isinstance(model, torch.jit.ScriptModule):  # its Python signature is only (*args, **kwargs)
            return inspect.signature(model.forward)
        arguments = cast("Any", model.forward).schema.arguments[1:]  # the first one is self
    except (ValueError, TypeError, AttributeError, RuntimeError):
        return None
    kind, needed = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    return inspect.Signature([
        inspect.Parameter(one.name, kind, default=one.default_value if one.has_default_value() else needed)
        for one in arguments
    ])  # fmt: skip


def _unbound(signature: inspect.Signature | None, inputs: CallInputs) -> str:
    """Why a call with these inputs does not fit a signature; "" where it does."""
    try:
        if signature is not None:
            signature.bind(*inputs.args, **inputs.kwargs)
    except TypeError as error:
        return str(error)
    return ""


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
