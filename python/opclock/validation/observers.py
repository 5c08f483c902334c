"""Two more measurements of a model's op calls, which explain the error of an estimate."""

from __future__ import annotations

import numpy as np

from opclock.board.contention import Contention
from opclock.estimation.result import Estimate
from opclock.profiles.statistics import Samples
from opclock.timing.host_playback import PlayedHost
from opclock.timing.runs import Runs, one_by_one
from opclock.timing.sampler import Sampler
from opclock.tracing.trace import Trace
from opclock.validation.attribution import Explanation


class Observers:
    """Replays the op calls from C++, and times each of them inside the real model."""

    def __init__(self, trace: Trace, kernels: Sampler, host: PlayedHost) -> None:
        self._trace, self._kernels, self._host = trace, kernels, host
        contention = Contention()
        self._replaying, self._observing = Runs(contention), Runs(contention)
        self._replays: list[Samples] = []
        self._observed: list[Samples] = []
        self._observed_host: list[Samples] = []

    def block(self, rounds: int) -> None:
        """Run this many inferences and replays, each kind after one that is not kept."""
        self._observing.block(one_by_one(lambda: self._keep_observed(*self._observe()), self._observe), rounds)
        self._replaying.block(
            one_by_one(lambda: self._keep_replay(self._kernels.replay()), self._kernels.replay), rounds
        )

    def _observe(self) -> tuple[Samples, Samples]:
        calls = len(self._trace.calls)
        kernel_s, host_s = np.empty(calls), np.empty(calls + 1)
        self._host.observe(kernel_s, host_s)
        return kernel_s, host_s

    def _keep_observed(self, kernel_s: Samples, host_s: Samples) -> float:
        self._observed.append(kernel_s)
        self._observed_host.append(host_s)
        return float(kernel_s.sum() + host_s.sum())

    def _keep_replay(self, kernel_s: Samples) -> float:
        self._replays.append(kernel_s)
        return float(kernel_s.sum())

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
            replay=np.array(self._replays)[self._replaying.kept],
            observed=np.array(self._observed)[self._observing.kept],
            observed_host=np.array(self._observed_host)[self._observing.kept],
        )
