"""Calls a model on its inputs, as tracing, timing and playing all do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch

from opclock.errors import ModelError, model_errors, raised
from opclock.tracing.model_inputs import arguments_of

Reset = Callable[[], object]


class Forward:
    """One inference of a model."""

    def __init__(self, model: torch.nn.Module, inputs: object, reset: Reset | None = None) -> None:
        """Keep the model.

        Args:
            model: the model.
            inputs: in any form that ``arguments_of`` takes.
            reset: puts the model's state back before each inference, such as a cache that it fills; not timed.
        """
        self._model = model
        self._args, self._kwargs = arguments_of(model, inputs)
        self._reset = reset

    def prepare(self) -> None:
        """Put the model's state back. Raises ModelError where that raises."""
        if self._reset is not None:
            with model_errors(f"the reset of {type(self._model).__name__}"):
                self._reset()

    def __call__(self) -> Any:  # noqa: ANN401
        """Run the model. What yields its results runs to its end.

        Raises ModelError for what is no Exception, such as SystemExit.
        """
        try:
            result = self._model(*self._args, **self._kwargs)
            if isinstance(result, Iterator):
                deque(result, maxlen=0)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:  # it would end the user's program, in whatever round
            raise ModelError(f"the forward of {type(self._model).__name__} {raised(error)}") from error
        return result


def prepare(forward: Callable[[], object]) -> None:
    """Put back the state of the model behind a forward that knows how. Call it before each inference, untimed."""
    if isinstance(forward, Forward):
        forward.prepare()
