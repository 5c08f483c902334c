"""Steps that opclock takes by itself so that a model can be recorded: in tracing, and in each run and play after it."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, cast
from unittest.mock import patch

import torch

from opclock.errors import NestedTensorError
from opclock.tracing.trace import Step

# What the user is told of each.
NOTES: Mapping[Step, str] = {
    "gradients": "it runs under torch.no_grad() in place of torch.inference_mode(), as its forward takes gradients",
    "padded": "nn.TransformerEncoder runs with enable_nested_tensor=False, as nested tensors cannot be recorded",
    "uncompiled": "torch.compile, which torch.cond uses too, is switched off: its kernels are not these op calls",
}
_NEEDS_GRADIENTS = re.compile("does not require grad|inference tensor|requires_grad", re.IGNORECASE)


def step_for(error: BaseException, model: torch.nn.Module) -> Step | None:
    """The step that may help after an error in a model's forward; None where none is known."""
    if isinstance(error, NestedTensorError):
        return "padded" if _encoders(model) else None
    cause = error.__cause__ or error
    return "gradients" if isinstance(cause, RuntimeError) and _NEEDS_GRADIENTS.search(str(cause)) else None


def _encoders(model: torch.nn.Module) -> list[torch.nn.TransformerEncoder]:
    return [module for module in model.modules() if isinstance(module, torch.nn.TransformerEncoder)]


@contextmanager
def _gradients(_model: torch.nn.Module) -> Iterator[None]:
    with torch.inference_mode(mode=False), torch.no_grad():
        yield


@contextmanager
def _padded(model: torch.nn.Module) -> Iterator[None]:
    before = [(encoder, encoder.use_nested_tensor) for encoder in _encoders(model)]
    for encoder, _ in before:
        encoder.use_nested_tensor = False
    try:
        yield
    finally:
        for encoder, used in before:
            encoder.use_nested_tensor = used


@contextmanager
def _uncompiled(_model: torch.nn.Module) -> Iterator[None]:
    with cast("Any", torch.compiler.set_stance)("force_eager"):
        yield


_CONTEXTS: Mapping[Step, Callable[[torch.nn.Module], AbstractContextManager[None]]] = {
    "gradients": _gradients,
    "padded": _padded,
    "uncompiled": _uncompiled,
}


@contextmanager
def taken(steps: Sequence[Step], model: torch.nn.Module) -> Iterator[None]:
    """Take these steps for the runs of a model inside the block."""
    with ExitStack() as stack:
        for step in steps:
            stack.enter_context(_CONTEXTS[step](model))
        yield


@contextmanager
def without_compiling(model: torch.nn.Module) -> Iterator[list[Step]]:
    """Run compiled modules and functions uncompiled inside the block.

    A compiled function that was called while dispatch is watched would stay uncompiled afterwards.

    Args:
        model: whose forward runs in the block.

    Yields:
        The steps that this is: "uncompiled" once a compiled function was called.
    """
    met: list[Step] = []
    dynamo = sys.modules.get("torch._dynamo.eval_frame")  # absent where nothing is compiled
    if dynamo is None:
        yield met
        return
    choose = dynamo._callback_from_stance

    def noticed(callback: object) -> object:
        if not met and callable(callback):
            met.append("uncompiled")
        return choose(callback)

    with (
        taken(["uncompiled"], model),
        patch.object(dynamo, "_callback_from_stance", noticed),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Using `torch.compile", UserWarning)  # it is not: hooks of this trace
        yield met
