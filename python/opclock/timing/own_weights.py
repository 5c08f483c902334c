"""A control workload for one model: how long it takes to read the model's weights, where this process has them.

How fast a large model runs depends on where its pages lie, which is another place in each process, and on what
neighbours do to far memory. Both show in the time to read the weights: over fresh processes it followed the time of
inferences with a correlation of 0.79 to 0.99, where workloads in memory of their own had 0.60 to 0.98
(``docs/method.md``).
"""

from __future__ import annotations

import time

import torch

from opclock.board.contention import Contention
from opclock.profiles.disturbance import disturbed
from opclock.profiles.pool import OWN
from opclock.profiles.watch import Watch
from opclock.timing.model_weights import ModelWeights
from opclock.tracing.macs import PICKING
from opclock.tracing.trace import Trace

MIN_BYTES = 1 << 20  # of weights: fewer stay in the caches of a core
MIN_WEIGHT = 1 << 14  # bytes of one: reading it takes longer than calling the operator


class OwnWeights:
    """Reads the weights that a model's op calls read whole, one after the other."""

    def __init__(self, trace: Trace, weights: ModelWeights) -> None:
        """Find them. There are none where the model is not known, or on a device beside the host."""
        read = {
            number for traced in trace.calls if traced.launches and traced.call.name not in PICKING
            for number in traced.reads
        }  # fmt: skip
        found = [weights.elements(number) for number in sorted(read)] if trace.device == "cpu" else []
        self._weights = [one for one in found if one is not None and one.nbytes >= MIN_WEIGHT]
        nbytes = sum(one.nbytes for one in self._weights)
        self.known = nbytes >= MIN_BYTES
        self.name = f"{OWN}{nbytes}"

    @torch.inference_mode()
    def sample(self, contention: Contention) -> dict[str, float]:
        """Read them twice, and time the second time: whatever ran before has taken their place in the caches.

        Args:
            contention: reads the counters of this process.

        Returns:
            Its name and the seconds. Empty where other programs disturbed it.
        """
        self._read()
        watch = Watch(contention, 1)
        start_s = time.perf_counter()
        self._read()
        read_s = time.perf_counter() - start_s
        watch.rounds_ended()
        return {} if disturbed(watch.block_ended()).any() else {self.name: read_s}

    def _read(self) -> None:
        for weight in self._weights:
            weight.sum()
