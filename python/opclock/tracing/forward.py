"""Calls a model on its inputs, as tracing, timing and playing all do."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from opclock.errors import ModelError, model_errors, raised
from opclock.tracing.model_inputs import arguments_of
from opclock.tracing.steps import taken
from opclock.tracing.trace import Step

Reset = Callable[[], object]


class Forward:
    """One inference of a model."""

    def __init__(
        self, model: torch.nn.Module, inputs: object, reset: Reset | None = None, steps: Sequence[Step] = ()
    ) -> None:
        """Keep the model.

        Args:
            model: the model.
            inputs: in any form that ``arguments_of`` takes.
            reset: puts the model's state back before each inference, such as a cache that it fills; not timed.
            steps: that make it the program of its trace, see ``Trace.steps``; not timed.
        """
        self._model = model
        self._args, self._kwargs = arguments_of(model, inputs)
        self._reset = reset
        self.steps = tuple(steps)

    @property
    def model(self) -> torch.nn.Module:
        """The model that is called."""
        return self._model

    @property
    def needs_reset(self) -> bool:
        """Whether the model's state must be put back before each inference."""
        return self._reset is not None

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Take the steps for inferences inside the block, and put the model's state back once.

        Raises ModelError where that raises.
        """
        with torch.inference_mode(), taken(self.steps, self._model):
            if self._reset is not None:
                with model_errors(f"the reset of {type(self._model).__name__}"):
                    self._reset()
            yield

    def check_values(self) -> None:
        """Raise ModelError where parameters are on the meta device, so that the model can be traced but not run."""
        if any(parameter.is_meta for parameter in self._model.parameters()):
            raise ModelError(
                f"{type(self._model).__name__} is on the meta device and has no values: it can be traced, measured and "
                "estimated; to run it, give it memory with model.to_empty(device='cpu')"
            )

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


def needs_reset(forward: Callable[[], object]) -> bool:
    """Whether each inference needs a preparation of its own."""
    return isinstance(forward, Forward) and forward.needs_reset


@contextmanager
def prepared(forward: Callable[[], object]) -> Iterator[None]:
    """Call a forward inside the block, in inference mode; once only where it ``needs_reset``.

    What readies the model is done before, untimed.
    """
    with forward.prepared() if isinstance(forward, Forward) else torch.inference_mode():
        yield
