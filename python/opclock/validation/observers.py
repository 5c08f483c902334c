"""Two more measurements of a model's op calls, which explain the error of an estimate."""

from __future__ import annotations

import numpy as np

from opclock.estimation.result import Estimate
from opclock.profiles.statistics import Samples
from opclock.timing.host_playback import PlayedHost
from opclock.timing.sampler import Sampler
from opclock.tracing.trace import Trace
from opclock.validation.attribution import Explanation


class Observers:
    """Replays the op calls from C++, and times each of them inside the real model."""

    def __init__(self, trace: Trace, kernels: Sampler, host: PlayedHost) -> None:
        self._trace, self._kernels, self._host = trace, kernels, host
        self._replays: list[Samples] = []
        self._observed: list[Samples] = []
        self._observed_host: list[Samples] = []

    def block(self, rounds: int) -> None:
        """Run this many inferences and replays, each after one that is not kept."""
        calls = len(self._trace.calls)
        kernel_s, host_s = np.empty((rounds, calls)), np.empty((rounds, calls + 1))
        for number in (0, *range(rounds)):
            self._host.observe(kernel_s[number], host_s[number])
        self._observed.append(kernel_s)
        self._observed_host.append(host_s)
        self._replays.append(self._kernels.replay(rounds))

    def explain(self, estimate: Estimate, reference_s: float) -> Explanation:
        """Compare an estimate with all blocks so far.

        Args:
            estimate: of the model.
            reference_s: median seconds of real inference.

        Returns:
            The estimate and the measurements.
        """
        return Explanation(
            self._trace,
            estimate,
            reference_s,
            replay=np.concatenate(self._replays),
            observed=np.concatenate(self._observed),
            observed_host=np.concatenate(self._observed_host),
        )
