"""The page faults of a model of which no op call was timed in its order. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from opclock.estimation.heap import page_faults
from opclock.estimation.page_faults import MIDDLE, by_call_s
from opclock.prediction.training import training_pools
from opclock.profiles.condition import Condition
from opclock.profiles.machine_state import evenly
from opclock.profiles.pool import FAULT
from opclock.profiles.reader import ProfileReader
from opclock.profiles.statistics import Samples
from opclock.tracing.trace import Trace

# Of 18 models whose played heap has page faults, 10 took them in a fresh process. In the others, what lies at the end
# of the heap stays there.
COMES = 10 / 18


@dataclass(frozen=True)
class PredictedFaults:
    """How many there are by the C library's heap, and what one takes.

    Kernels of a sweep give their outputs back at once and have none, so this is a term of its own.

    Attributes:
        count: of one inference.
        cost_s: of one.
    """

    count: int
    cost_s: float

    @staticmethod
    def read(trace: Trace, profile: ProfileReader, condition: Condition) -> PredictedFaults | None:
        """Those of a model.

        Args:
            trace: the model.
            profile: holds sweeps, beside which new memory was timed.
            condition: of the estimate.

        Returns:
            None where new memory was not timed.
        """
        device, threads = condition.device, condition.threads
        cost_s = profile.remembered(("page fault", device, threads), lambda: _cost_s(profile, device, threads))
        return None if cost_s is None else PredictedFaults(page_faults(trace), cost_s)

    @property
    def added_s(self) -> float:
        """The expected seconds. Half of their 95 % interval is as much, because layout decides whether they come."""
        return COMES * self.count * self.cost_s

    def scaled(self, factor: float) -> PredictedFaults:
        """The same in another state of the machine."""
        return replace(self, cost_s=self.cost_s * factor)

    def by_call_s(self, trace: Trace) -> Samples:
        """The seconds by position of the op call."""
        return by_call_s(trace, self.added_s)


def _cost_s(profile: ProfileReader, device: str, threads: int) -> float | None:
    """What one takes, by the new memory that was timed beside the sweeps."""
    pools = evenly(training_pools(profile, threads, device))
    samples = [one[FAULT] for one in profile.control_seconds(pools) if FAULT in one]
    samples_s = np.concatenate(samples) if samples else np.empty(0)
    known_s = samples_s[np.isfinite(samples_s) & (samples_s > 0)]
    return MIDDLE * float(np.median(known_s)) if known_s.size else None
