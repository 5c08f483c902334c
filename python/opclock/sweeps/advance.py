"""How much of a sweep is done, and how long the rest takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

from opclock.formatting import counted, duration
from opclock.progress import Progress
from opclock.sweeps.duration import share_done
from opclock.sweeps.network_times import Networks

LEFT_FROM = 0.05  # of the sweep show how long the rest takes


@dataclass
class Advance:
    """Reports how much of a sweep is done."""

    progress: Progress
    threads: int
    count: int  # kernels of the sweep
    networks: Networks | None  # between the kernels
    began: float  # when, in seconds of time.perf_counter
    tried: int = 0  # kernels, with all of this window
    here: int = 0  # kernels of this window

    def begin_window(self, kernels: int) -> None:
        """Count the kernels of the next window."""
        self.tried, self.here = self.tried + kernels, kernels

    def __call__(self, done: float = 1.0) -> None:
        """Report that this fraction of the window is done."""
        so_far = self.tried - self.here * (1.0 - done)
        share, drawn = so_far / self.count if self.count else 1.0, ""
        if self.networks is not None and self.networks.count:
            drawn = f", {self.networks.tried} of {counted(self.networks.count, 'network')}"
            share = share_done(so_far, self.count, self.networks.tried, self.networks.count)
        spent_s = time.perf_counter() - self.began
        left = f", {duration(spent_s / share * (1.0 - share))} left" if share > LEFT_FROM else ""
        kernels = f"{int(so_far)} of {counted(self.count, 'kernel')}"
        self.progress(f"sweep, {counted(self.threads, 'thread')}: {kernels}{drawn}{left}", share)
