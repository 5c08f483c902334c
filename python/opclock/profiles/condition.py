"""The condition of a measurement: how an op call was timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Timing = Literal["in_model", "interleaved", "back_to_back", "device", "isolated", "recorded", "in_network"]
Lane = Literal["host", "device", "both"]


@dataclass(frozen=True)
class Condition:
    """What must be equal for two measurements of an op call to be comparable.

    ``timing`` is "in_model" (each call in its model's order, with the host's work between the calls), "interleaved"
    (all calls once a round in random order) or "back_to_back" (each call directly after itself).

    "in_network" is "in_model" for a random network of a sweep, from which predictors learn.

    On a device beside the host, "in_model" is the host's time to enqueue the call. Three more timings are in the
    model's order: "device" is the device's time, with the host far ahead. "isolated" is the time of both, from
    enqueueing the call on an idle device until the device is idle again. "recorded" is the device's time with all calls
    in one graph of kernels. "interleaved" and "back_to_back" are the device's time.

    ``working_set`` is the number of binary digits of the bytes that the op calls sampled together touch: 25 for
    16 to 32 MiB. It decides which caches hold the weights, so a kernel timed among 2 MB of weights says little about
    the same kernel among 100 MB.
    """

    timing: Timing
    device: str
    threads: int
    working_set: int

    @staticmethod
    def of(timing: Timing, device: str, threads: int, working_set_bytes: int) -> Condition:
        """The condition for op calls that together touch this many bytes."""
        return Condition(timing, device, threads, working_set_bytes.bit_length())

    @property
    def in_order(self) -> bool:
        """Whether the op calls run in their model's order, each once a round."""
        return self.timing in ("in_model", "in_network", "device", "isolated", "recorded")

    @property
    def lane(self) -> Lane:
        """With a device beside the host: whether the time is the host's, the device's, or both."""
        return {"in_model": "host", "isolated": "both"}.get(self.timing, "device")  # type: ignore[return-value]
