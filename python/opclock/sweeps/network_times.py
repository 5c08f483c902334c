"""Times random networks beside the kernels of a sweep: predictors learn from them what kernels take in a model."""

from __future__ import annotations

from collections import Counter

from opclock.errors import OpCallError, TraceError
from opclock.formatting import counted
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.progress import Progress
from opclock.sweeps.amount import FOR_NETWORKS
from opclock.sweeps.parts import Part
from opclock.sweeps.random_networks import name_of, random_network
from opclock.timing.host_playback import PlayedHost
from opclock.timing.inputs import Arguments
from opclock.timing.reference import forward_of
from opclock.timing.sampler import Sampler
from opclock.tracing.macs import model_macs
from opclock.tracing.recorder import trace as trace_model

MAX_MACS = {"float32": 1.5e9, "bfloat16": 1.5e8}  # of an inference: a small board takes a second for it


class Networks:
    """The random networks of a sweep on the CPU that a profile lacks.

    Attributes:
        timed: how many were timed now.
        skipped: by reason: networks that do not run on this machine.
    """

    def __init__(
        self, count: int, profile: Profile, threads: int, seed: int, part: Part | None, progress: Progress
    ) -> None:
        """Look up those that the profile has.

        Args:
            count: of the whole sweep.
            profile: stores every finished round.
            threads: PyTorch's threads, which are set already.
            seed: for the rounds.
            part: of the sweep, that is timed here; all if None.
            progress: receives a text and the fraction that is done.
        """
        known = profile.finished_networks("cpu", threads)
        numbers = range(count) if part is None else range(part.number, count, part.of)
        self._left = [number for number in numbers if name_of(number) not in known]
        self._of = len(self._left)
        self._profile, self._threads, self._seed, self._progress = profile, threads, seed, progress
        self.timed = 0
        self.skipped: Counter[str] = Counter()

    def until(self, share: float) -> None:
        """Time as many as belong to this share of the sweep."""
        while self._left and len(self._left) > (1.0 - share) * self._of:
            number = self._left[0]
            self._progress(f"network {self._of - len(self._left) + 1} of {counted(self._of, 'network')}", share)
            try:
                self._time(number)
            except (OpCallError, TraceError) as error:
                self.skipped[str(error)] += 1
            self._left.pop(0)

    def _time(self, number: int) -> None:
        network = random_network(number)
        traced = trace_model(network.module, network.inputs, name=network.name, real=False)
        if model_macs(traced) > MAX_MACS[traced.dtype]:
            return
        host = PlayedHost(traced, forward_of(network.module, network.inputs))
        condition = Condition.of("in_network", "cpu", self._threads, traced.working_set)
        sampler = Sampler(traced, range(len(traced.calls)), Arguments(traced), self._profile, condition, host,
                          seed=self._seed)  # fmt: skip
        sampler.warm_up()
        rounds = FOR_NETWORKS.in_block(sampler.usual_round_s())
        for _ in range(FOR_NETWORKS.blocks):
            sampler.block(rounds)
        sampler.end()
        self.timed += 1
