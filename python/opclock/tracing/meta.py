"""Runs operators on tensors without data."""

from __future__ import annotations

from typing import Any

import torch

from opclock.tracing.specs import mapped


def without_generators(value: Any) -> Any:  # noqa: ANN401
    """Arguments without random generators: fake tensors draw no numbers."""
    return mapped(torch.Generator, lambda _generator: None, value)


def on_meta(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Run an operator on tensors without data, outside any mode."""

    def bare(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")

    args, kwargs = without_generators(mapped(torch.Tensor, bare, (args, kwargs)))
    if any(argument.name == "device" for argument in func._schema.arguments):
        kwargs = {**kwargs, "device": "meta"}
    return func(*args, **kwargs)
