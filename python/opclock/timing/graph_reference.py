"""Times a model replayed as a CUDA graph: a second reference on CUDA devices."""

from __future__ import annotations

import time

from opclock.board.contention import Contention
from opclock.errors import ModelError
from opclock.timing.device_graph import CudaGraph, can_capture
from opclock.timing.host_playback import Forward
from opclock.timing.reference import Reference
from opclock.timing.runs import Runs, one_by_one

FIRST_RUNS = 3  # to find out how long a replay takes
SAMPLE_S = 0.004  # seconds of replays for one sample: hundreds of times the cost of the events at its ends
MAX_REPLAYS = 50
SAMPLES = 5  # per block


class GraphRun:
    """Samples replays block by block. A sample is the device seconds of one replay, the mean of several in a row."""

    def __init__(self, forward: Forward, device: str, name: str = "the model") -> None:
        """Capture the model. Raises ModelError where it waits for the device, or where the device has no graphs."""
        contention = Contention()
        self._halves = (Runs(contention), Runs(contention))
        if not can_capture(device):
            raise ModelError(f"{name} cannot be captured in a graph: only CUDA devices replay them")
        self._graph = CudaGraph(forward, device)
        one_s = min(self._graph.replay_s(1) for _ in range(FIRST_RUNS))
        self._replays = max(1, min(MAX_REPLAYS, round(SAMPLE_S / one_s)))

    def block(self, half: int) -> float:
        """Run one block for a half (0 or 1). Returns the wall seconds it took."""
        start = time.perf_counter()
        self._halves[half].block(one_by_one(lambda: self._graph.replay_s(self._replays)), SAMPLES)
        return time.perf_counter() - start

    def reference(self) -> Reference:
        """The samples so far."""
        return Reference.of(*self._halves)
