"""CUDA graphs: kernels are captured once and replayed without work on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from opclock.errors import ModelError, first_line
from opclock.tracing.forward import prepared

WARM_UP_RUNS = 3  # on a separate stream, before a capture: libraries choose and set up their kernels


def can_capture(device: str) -> bool:
    """Whether kernels on this device can be captured in a graph. Only CUDA devices support it."""
    return device.startswith("cuda")


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Make PyTorch raise RuntimeError inside the block where the host waits for the device.

    A capture fails there too, but PyTorch's allocator and random generators do not recover from a failed capture.
    """
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class CudaGraph:
    """A captured graph whose replays are timed on the device."""

    def __init__(self, run: Callable[[], object], device: str) -> None:
        """Capture the kernels that ``run`` launches. Raises ModelError where that fails, such as when it waits."""
        self._device = device
        self._graph = torch.cuda.CUDAGraph()
        try:
            # After a failed capture, its stream would stay the current one.
            with (
                torch.cuda.device(device),
                prepared(run),
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
                    self._output = run()  # lies in the graph's memory
        except RuntimeError as error:
            torch.cuda.synchronize(device)
            raise ModelError(f"cannot be captured in a graph: {first_line(error)}") from error
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]

    def replay_s(self, replays: int) -> float:
        """Device seconds of one replay: the mean of this many in a row, after one that is not timed."""
        with torch.cuda.device(self._device):  # events without a stream go to the current device
            self._graph.replay()
            self._events[0].record()
            for _ in range(replays):
                self._graph.replay()
            self._events[1].record()
            self._events[1].synchronize()
        return float(self._events[0].elapsed_time(self._events[1])) / 1e3 / replays
