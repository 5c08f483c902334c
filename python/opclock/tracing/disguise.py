"""Tells a model that it is not being traced, so that it does what it does in a real run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor


class _SeenByTorch(type):
    """The type of a stand-in for FakeTensor: fake tensors are its instances in torch's own code only."""

    def __instancecheck__(cls, instance: Any) -> bool:  # noqa: ANN401
        return _asked_by_torch() and isinstance(instance, FakeTensor)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return _asked_by_torch() and issubclass(subclass, FakeTensor)


def _asked_by_torch() -> bool:
    return str(sys._getframe(2).f_globals.get("__name__")).partition(".")[0] == "torch"


class _Hidden(metaclass=_SeenByTorch):
    """What ``torch._subclasses.FakeTensor`` is while a model is traced."""


@contextmanager
def untraced() -> Iterator[None]:
    """Answer no inside the block where a model asks whether its tensors are fake."""
    before = torch._subclasses.FakeTensor
    torch._subclasses.FakeTensor = _Hidden  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        torch._subclasses.FakeTensor = before  # type: ignore[misc]
