"""A model recorded as a graph of kernels and replayed: the device without its host."""

from __future__ import annotations

import time

import numpy as np
import torch

from opclock.errors import ModelError, first_line
from opclock.host import Forward
from opclock.reference import Reference

WARM_UP_RUNS = 3  # on a stream of their own, as recording wants it: libraries choose and set up their kernels
SAMPLE_S = 0.004  # replays in a row for one sample: hundreds of times what the events at its ends take
MOST_REPLAYS = 50
SAMPLES = 5  # in a block


class GraphRun:
    """Takes samples of replays block by block: seconds of one, in the device's own time, replays in a row."""

    def __init__(self, forward: Forward, device: str, name: str = "the model") -> None:
        """Record the model. Raises ModelError where it cannot be: it waits for the device, or there are no graphs."""
        self._halves: tuple[list[float], list[float]] = ([], [])
        if not device.startswith("cuda"):
            raise ModelError(f"{name} cannot be recorded as a graph: only CUDA devices replay them")
        try:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.device(device), torch.inference_mode():
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(WARM_UP_RUNS):
                        forward()
                torch.cuda.current_stream().wait_stream(side)
                with torch.cuda.graph(self._graph):
                    self._output = forward()  # lives in the graph's memory as long as that
        except RuntimeError as error:
            torch.cuda.synchronize(device)
            raise ModelError(f"{name} cannot be recorded as a graph: {first_line(error)}") from error
        self._edges = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        self._replays = 1
        one_s = min(self._sample() for _ in range(WARM_UP_RUNS))
        self._replays = max(1, min(MOST_REPLAYS, round(SAMPLE_S / one_s)))

    def _sample(self) -> float:
        self._graph.replay()
        self._edges[0].record()
        for _ in range(self._replays):
            self._graph.replay()
        self._edges[1].record()
        self._edges[1].synchronize()
        return float(self._edges[0].elapsed_time(self._edges[1])) / 1e3 / self._replays

    def block(self, half: int) -> float:
        """One block for a half (0 or 1). Returns the wall seconds it took."""
        start = time.perf_counter()
        self._halves[half].extend(self._sample() for _ in range(SAMPLES))
        return time.perf_counter() - start

    def reference(self) -> Reference:
        """What has been sampled so far."""
        return Reference(np.array(self._halves[0]), np.array(self._halves[1]))
