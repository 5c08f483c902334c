"""CUDA graphs: kernels captured once and replayed, the device without its host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from opclock.errors import ModelError, first_line

WARM_UP_RUNS = 3  # on a stream of their own, as a capture needs it: libraries choose and set up their kernels


def can_capture(device: str) -> bool:
    """Whether kernels on this device can be captured in a graph: CUDA's can."""
    return device.startswith("cuda")


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Let PyTorch raise RuntimeError where the host waits for the device.

    A capture would fail there, too, but PyTorch's allocator and random generators do not recover from that.
    """
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class CudaGraph:
    """A captured graph, and the device's time of its replays."""

    def __init__(self, run: Callable[[], object], device: str) -> None:
        """Capture the kernels that ``run`` launches. Raises ModelError where it waits for the device, say."""
        self._graph = torch.cuda.CUDAGraph()
        try:
            # A capture that fails leaves its stream the current one.
            with (
                torch.cuda.device(device),
                torch.inference_mode(),
                torch.cuda.stream(torch.cuda.current_stream(device)),
            ):
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(WARM_UP_RUNS):
                        run()
                    with _no_waiting():
                        run()
                torch.cuda.current_stream().wait_stream(side)
                with torch.cuda.graph(self._graph):
                    self._output = run()  # lives in the graph's memory as long as that
        except RuntimeError as error:
            torch.cuda.synchronize(device)
            raise ModelError(f"cannot be captured in a graph: {first_line(error)}") from error
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def replay_s(self, replays: int) -> float:
        """Device seconds of one replay: the mean of so many in a row, after one that is not timed."""
        self._graph.replay()
        self._events[0].record()
        for _ in range(replays):
            self._graph.replay()
        self._events[1].record()
        self._events[1].synchronize()
        return float(self._events[0].elapsed_time(self._events[1])) / 1e3 / replays
