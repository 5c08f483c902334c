"""Times a model's op calls at one batch in a child process, as a runtime's inference is timed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from opclock.board.identity import read_board
from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.models.loading import Model, load_model
from opclock.profiles.profile import Profile
from opclock.runtimes.job import Job
from opclock.runtimes.nesting import filled, tensors_in
from opclock.runtimes.runtime import Settings
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.memory_budget import check_fit
from opclock.timing.missing import all_known, condition_of
from opclock.timing.reference import forward_of
from opclock.timing.sampler import Sampler
from opclock.tracing.recorder import trace


@dataclass(frozen=True)
class Block:
    """A block of rounds: the median seconds of a round, and the wall seconds of the block."""

    latency_s: float
    spent_s: float
    known: bool  # nothing was timed: the profile holds every measurement


class Kernels:
    """Traces the model, plays its host and times its op calls; the model is never run. Stores every finished round."""

    def __init__(self, job: Job, settings: Settings, profile: Path) -> None:
        torch.set_num_threads(settings.threads)
        model = _at_batch(load_model(job.model, input_text=job.input_text, dtype=settings.precision), job)
        self._threads = settings.threads
        self._trace = trace(model.module, model.inputs, name=f"{model.name}, batch {job.batch}", reset=model.reset)
        self._forward = forward_of(model.module, model.inputs, model.reset, self._trace.steps)
        self._profile = Profile.create_or_open(profile, read_board())
        known = all_known(self._trace, self._profile, self._threads)
        self._sampling = None if known else self._warm()

    def _warm(self) -> Sampler:
        check_fit(self._trace)
        host, _ = host_for(self._trace, self._forward)
        calls, condition = range(len(self._trace.calls)), condition_of(self._trace, self._threads)
        sampling = Sampler(self._trace, calls, Arguments(self._trace, self._forward), self._profile, condition, host)
        sampling.warm_up()
        return sampling

    def block(self, rounds: int) -> Block:
        """Time this many rounds after one that is not kept; or return the estimate if the profile has everything."""
        if self._sampling is None:
            return Block(self._estimate().total_s, 0.0, known=True)
        start = time.perf_counter()
        latency_s = self._sampling.block(rounds)
        return Block(latency_s, time.perf_counter() - start, known=False)

    def end(self) -> Estimate:
        """The estimate from all rounds."""
        if self._sampling is not None:
            self._sampling.end()
        result = self._estimate()
        self._profile.close()
        return result

    def _estimate(self) -> Estimate:
        return estimate(self._trace, self._profile, threads=self._threads)


def _at_batch(model: Model, job: Job) -> Model:
    """The model with inputs of the same kind at the job's batch."""
    batched = iter(job.batching().resized(tensors_in(model.inputs), job.batch, model=job.model))
    return replace(model, inputs=filled(model.inputs, batched))
