"""Rounds of a pool that is replayed as one CUDA graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from opclock.profiles.statistics import Samples
from opclock.timing.device_graph import CudaGraph

REPLAYS = 3  # in a row, for one round
SHARE_ROUNDS = 5  # without the graph: by their medians a replay's time is shared


class GraphRounds:
    """All op calls of a pool captured in one graph; a replay's time is shared among them.

    Only a whole graph can be timed. What the graph saves is taken to be the same for every call that launches a
    kernel: it is the gap from one kernel to the next.
    """

    def __init__(self, compiled: Any, calls: int, device: str) -> None:  # noqa: ANN401
        """Capture a compiled pool of so many op calls. Raises ModelError where that fails."""
        single_s = np.empty((SHARE_ROUNDS, calls))
        for row in single_s:
            compiled.begin_round()
            compiled.end_round(row)
        compiled.begin_round()
        self._graph = CudaGraph(compiled.issue, device)
        alone_s = np.median(single_s, axis=0)
        launching = max(1, int(np.count_nonzero(alone_s)))
        saved_s = max(0.0, float(alone_s.sum()) - self._graph.replay_s(REPLAYS)) / launching
        left_s = np.maximum(alone_s - saved_s, 0.0)
        self._shares: Samples = left_s / left_s.sum() if left_s.sum() > 0 else left_s

    def round_s(self) -> Samples:
        """One round: seconds by op call."""
        seconds: Samples = self._shares * self._graph.replay_s(REPLAYS)
        return seconds
