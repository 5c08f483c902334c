"""What a validation of one model is asked for, and the processes that it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opclock.models.loading import Model
from opclock.profiles.condition import Timing
from opclock.profiles.profile import Profile
from opclock.timing.host_playback import Host
from opclock.timing.inputs import Arguments
from opclock.timing.missing import all_known, condition_of, in_processes
from opclock.timing.sampler import Sampler
from opclock.timing.sampling_processes import KernelProcess, ReferenceProcess, checked_specification, started
from opclock.tracing.trace import Trace


@dataclass(frozen=True)
class Request:
    """One model to validate.

    Attributes:
        model: the model and its inputs.
        trace: the model's trace with these inputs.
        profile: open for writing.
        threads: PyTorch's threads.
        seed: for every random order.
        explain: whether to take two more measurements of the op calls, to explain the error.
        max_s: largest number of seconds of kernel rounds; by default 3.8 s or 25 times the model's latency,
            and three times that where other programs disturb the rounds.
        processes: how many fresh processes sample the op calls in turn, and as many others the model; with 1, this one
            samples both.
    """

    model: Model
    trace: Trace
    profile: Profile
    threads: int
    seed: int
    explain: bool
    max_s: float | None
    processes: int = 1

    def sampler(self, arguments: Arguments, timing: Timing, positions: Sequence[int], host: Host | None) -> Sampler:
        """A warmed-up sampler of the op calls at these positions in this timing. Raises as ``Sampler`` does."""
        condition = condition_of(self.trace, self.threads, timing)
        sampler = Sampler(self.trace, positions, arguments, self.profile, condition, host, seed=self.seed)
        sampler.warm_up()
        return sampler


@contextmanager
def processes_of(request: Request) -> Iterator[tuple[list[KernelProcess], list[ReferenceProcess]]]:
    """Start the processes of a request, for its op calls where the profile lacks them and for its model.

    They end with the block. There are none where this process samples everything. Raises as
    ``sampling_processes.started`` does, and OptionError where other processes cannot load the model.
    """
    count, model = request.processes, request.model
    specification = checked_specification(request.trace, model.module, model, count)
    if count == 1:
        yield [], []
        return
    kernels = 0 if is_known(request) else count
    with started(request.trace, specification, request.threads, kernels=kernels, references=count) as children:
        yield children


def is_known(request: Request) -> bool:
    """Whether the profile has every measurement that the estimate needs."""
    trace, profile, threads, count = request.trace, request.profile, request.threads, request.processes
    return all_known(trace, profile, threads) and (count == 1 or in_processes(trace, profile, threads, count))
