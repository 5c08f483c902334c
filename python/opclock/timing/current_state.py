"""The state that the machine is in now."""

from __future__ import annotations

import time

import numpy as np

from opclock.argument_checks import Count, checked
from opclock.board.contention import Contention
from opclock.errors import EstimateError
from opclock.formatting import counted
from opclock.models.loading import Model
from opclock.profiles.machine_state import MachineState
from opclock.progress import Progress, silent
from opclock.timing.controls import CURRENT_S, make_workloads, sample_controls
from opclock.timing.model_weights import ModelWeights
from opclock.timing.own_weights import OwnWeights
from opclock.timing.small_models import small_models
from opclock.timing.threads import thread_team
from opclock.timing.watching import sample_small_models
from opclock.tracing.forward import Forward
from opclock.tracing.torch_state import torch_plain
from opclock.tracing.trace import Trace


class StateSampler:
    """Samples the control workloads and the small models, with PyTorch's current number of threads."""

    def __init__(self, weights: OwnWeights | None = None) -> None:
        """Make them. The weights of a model that this process has are read as well."""
        self._contention = Contention()
        self._weights = weights if weights is not None and weights.known else None
        self._seconds: dict[str, list[float]] = {}
        make_workloads()
        with torch_plain():
            small_models()

    def sample(self) -> None:
        """Take one sample of each that no other program disturbs."""
        with torch_plain():
            sampled = {**sample_controls(self._contention), **sample_small_models(self._contention)}
            if self._weights is not None:
                sampled |= self._weights.sample(self._contention)
        for name, seconds in sampled.items():
            self._seconds.setdefault(name, []).append(seconds)

    @property
    def state(self) -> MachineState:
        """The state so far."""
        return MachineState.of_seconds({name: np.array(seconds) for name, seconds in self._seconds.items()})


@checked
def current_state(
    *, threads: Count, progress: Progress = silent, trace: Trace | None = None, model: Model | None = None
) -> MachineState:
    """Sample the control workloads of this machine, for about a second.

    Args:
        threads: PyTorch's. The state holds for estimates with as many.
        progress: receives a text and the fraction that is done.
        trace: of the model that estimates are for.
        model: the same, as ``load_model`` returned it. Its weights are read where this process has them, as they lie in
            a new process now; ``trace`` says which. Without both, the state is that of any model.

    Returns:
        The state, for ``opclock.estimate(..., state=...)``.

    Raises:
        EstimateError: other programs disturbed nearly all of them.
        OptionError: a number of threads that is not a whole number of at least 1.
    """
    weights = None
    if trace is not None and model is not None:
        weights = OwnWeights(trace, ModelWeights(trace, Forward(model.module, model.inputs)))
    with thread_team(threads):
        sampler = StateSampler(weights)
        sampler.sample()  # the first runs of a process are slower
        begin_s = time.perf_counter()
        while (spent_s := time.perf_counter() - begin_s) < CURRENT_S:
            progress("control workloads", spent_s / CURRENT_S)
            sampler.sample()
    if not sampler.state.known:
        raise EstimateError(
            f"other programs disturbed the control workloads on {counted(threads, 'thread')}; stop them, and try again"
        )
    return sampler.state
