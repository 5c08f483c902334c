"""Times rounds of a pool that is replayed as one CUDA graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from opclock.profiles.statistics import Samples
from opclock.timing.device_graph import CudaGraph

REPLAYS = 3  # replays in a row for one round
SHARE_ROUNDS = 5  # rounds without the graph; their medians give each op call's part of a replay


class GraphRounds:
    """All op calls of a pool, captured in one graph. The time of a replay is divided among them.

    Only a whole graph can be timed. A graph saves the gaps between kernels, so the same saving is assumed for every op
    call that launches a kernel.
    """

    def __init__(self, compiled: Any, calls: int, device: str) -> None:  # noqa: ANN401
        """Capture a compiled pool of this many op calls. Raises ModelError where that fails."""
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
        """Run one round; returns seconds by op call."""
        seconds: Samples = self._shares * self._graph.replay_s(REPLAYS)
        return seconds
