"""Samples everything that a validation of one model compares, block by block in turn."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from functools import partial

from opclock.board.accelerator import has_lanes
from opclock.errors import ModelError
from opclock.flags import Flag
from opclock.formatting import counted
from opclock.profiles.machine_state import MachineState
from opclock.progress import Progress, silent
from opclock.timing.current_state import StateSampler
from opclock.timing.graph_reference import GraphRun
from opclock.timing.host_playback import Forward, PlayedHost
from opclock.timing.host_standin import host_for
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave_together
from opclock.timing.lane_samplers import lane_samplers
from opclock.timing.measure import PROCESS_SHARE
from opclock.timing.memory_budget import check_fit, check_run
from opclock.timing.missing import (
    can_be_timed,
    condition_of,
    missing_in,
    nothing_to_time,
    refused_calls,
)
from opclock.timing.own_weights import OwnWeights
from opclock.timing.reference import Reference, ReferenceRun, forward_of
from opclock.timing.sampler import Sampler
from opclock.timing.sampling_processes import (
    KernelProcess,
    ReferenceProcess,
    bind,
    end,
)
from opclock.timing.stopping import is_over
from opclock.timing.subnormal import subnormal_flags
from opclock.tracing.trace import Trace
from opclock.validation.observers import Observers
from opclock.validation.request import Request, is_known

MIN_BLOCKS = 8  # of each: with four blocks a half, a drift shows that two would miss
MIN_IN_PROCESS = 3  # of each in one of several processes
MAX_S = 3.8  # of kernel rounds for a small model
MAX_LATENCIES = 25  # for a large model: kernel rounds take at most this many times its latency


class InterleavedSession:
    """A model's reference, kernels and baselines. They are warmed up, then sampled in turn.

    Attributes:
        graph: replays of the model as a CUDA graph, on devices that have them.
        observers: two more measurements of the op calls, if the request asks for an explanation.
        flags: what was unusual.
        unknown: the op calls that cannot be timed, each with the reason.
    """

    def __init__(
        self,
        request: Request,
        kernels: Sequence[KernelProcess] = (),
        references: Sequence[ReferenceProcess] = (),
        progress: Progress = silent,
    ) -> None:
        """Load and warm up everything.

        Args:
            request: the model, and how to validate it.
            kernels: processes that sample its op calls; none where this one does.
            references: processes that sample the model; none where this one does.
            progress: receives what warms up, and 0.

        Raises:
            ModelError: the model cannot be run.
            OpCallError: its op calls cannot be timed, or do not fit into memory together.
            ProfileError: the profile cannot be written.
        """
        self._request = request
        trace = request.trace
        check_run(trace)
        known = is_known(request)
        if not known:
            check_fit(trace, max(1, len(kernels)))
        forward = forward_of(request.model.module, request.model.inputs, request.model.reset, trace.steps)
        self._forward = forward
        self._references: list[ReferenceRun | ReferenceProcess] = [*references]
        for number, process in enumerate(references, start=1):
            progress(f"{trace.model}: warming up the model, process {number} of {len(references)}", 0.0)
            process.warm_up()
        if not references:
            self._references.append(ReferenceRun(forward, request.model.name, trace.device))
        self.graph: GraphRun | None = None
        self.observers: Observers | None = None
        self.flags: list[Flag] = []
        self.unknown: tuple[str, ...] = ()
        self._kernels: list[Sampler | KernelProcess] = []  # none where the profile has every measurement already
        self._latency_s = math.inf  # seconds of the shortest kernel round
        self._binding_s = 0.0
        self._pool: int | None = None  # of the kernels that are timed here
        self._states: StateSampler | None = None  # where they were timed earlier
        arguments = Arguments(trace, forward)
        self._others: list[Sampler] = []  # each runs one block in every pass
        if known:
            self.flags.append("measured_earlier")
            self.unknown = refused_calls(trace, request.profile, request.threads)
        elif kernels:
            progress(f"{trace.model}: warming up the op calls in {len(kernels)} processes", 0.0)
            self._bind_processes(kernels)
        else:
            self._bind(forward, arguments)
        baseline = missing_in(trace, request.profile, condition_of(trace, request.threads, "back_to_back"))
        if can_be_timed(trace, baseline, request.threads):
            self._others.append(request.sampler(arguments, "back_to_back", _first_positions(trace), None))
        if trace.device == "cpu" and self._pool is None:
            self._states = StateSampler(OwnWeights(trace, arguments.weights))
        if has_lanes(trace.device):
            try:
                self.graph = GraphRun(forward, trace.device, request.model.name)
            except ModelError:
                self.flags.append("no_graph")

    def _bind_processes(self, kernels: Sequence[KernelProcess]) -> None:
        request, trace, start = self._request, self._request.trace, time.perf_counter()
        bound = bind(kernels, request.profile, range(len(trace.calls)), request.seed)
        self._pool, self.unknown = bound.pool, bound.unknown
        if bound.remark:
            self.flags.append("host_by_table")
        self._kernels += kernels
        self._binding_s = time.perf_counter() - start

    def _bind(self, forward: Forward, arguments: Arguments) -> None:
        """Bind all op calls in one pool for each timing that an estimate needs. Sampling in turn needs whole pools."""
        request, trace = self._request, self._request.trace
        start = time.perf_counter()
        host, remark = host_for(trace, forward)
        if remark:
            self.flags.append("host_by_table")
        if remark and nothing_to_time(trace, request.profile, request.threads):  # the table is filled already
            self.flags.append("measured_earlier")
            self.unknown = refused_calls(trace, request.profile, request.threads)
            self._binding_s = time.perf_counter() - start
            return
        if has_lanes(trace.device):
            first, *self._others = lane_samplers(trace, request.profile, host, request.threads, request.seed, arguments)
        else:
            first = request.sampler(arguments, "in_model", range(len(trace.calls)), host)
            if request.explain and isinstance(host, PlayedHost):
                self.observers = Observers(trace, first, host)
        self._kernels, self._pool, self.unknown = [first], first.number, first.unknown
        self._binding_s = time.perf_counter() - start

    def run(self, progress: Progress, text: str) -> None:
        """Run blocks of everything, each pass in a new random order, until kernels are settled or the time is up."""
        steps, begin_s, blocks = self._steps(), self._kernel_s, 0
        processes = self._request.processes
        passes = MIN_BLOCKS if processes == 1 else max(MIN_IN_PROCESS, math.ceil(MIN_BLOCKS / processes))

        def block(step: Callable[[], object]) -> None:
            nonlocal blocks
            step()
            blocks += 1

        def spent_share() -> float:
            max_s = self._request.max_s
            small_s = MAX_S if processes == 1 else processes * PROCESS_SHARE * MAX_S
            usual_s = max(small_s, MAX_LATENCIES * self._latency_s) if max_s is None else max_s
            return (self._kernel_s - begin_s) / usual_s

        def enough() -> bool:
            turns = blocks / (passes * len(steps))
            return turns >= 1.0 and is_over(
                spent_share() if self._kernels else turns,
                limited=self._request.max_s is not None,
                clean=self._clean,
                settled=all(one.settled for one in self._kernels),
            )

        def report() -> None:
            progress(text + self._about_rounds, min(1.0, max(blocks / (passes * len(steps)) * 0.5, spent_share())))

        interleave_together(steps, block, enough=enough, order=random.Random(self._request.seed), progress=report)

    def _steps(self) -> list[Callable[[], object]]:
        """The functions that run one block of each, in one pass."""
        rounds = min(one.runs for one in self._references)
        steps: list[Callable[[], object]] = []
        for one in self._references:
            if isinstance(one, ReferenceProcess):  # its halves in a row: a block after other work needs a warm-up
                steps.append(one.blocks)
            else:
                steps += [partial(one.block, half) for half in (0, 1)]
        if self.graph is not None:
            steps += [partial(self.graph.block, half) for half in (0, 1)]
        steps += [partial(self._kernel_block, one, rounds) for one in self._kernels]
        if self.observers is not None:
            steps.append(partial(self.observers.block, rounds))
        if self._states is not None:
            steps.append(self._states.sample)
        steps += [partial(one.block, rounds if one.condition.in_order else 1) for one in self._others]
        return steps

    def _kernel_block(self, kernels: Sampler | KernelProcess, rounds: int) -> None:
        self._latency_s = min(self._latency_s, kernels.block(rounds))

    @property
    def _about_rounds(self) -> str:
        """Words for the display: from where sampling goes on, and how many rounds other programs disturbed."""
        rounds, clean = (sum(one.rounds for one in self._kernels), sum(one.clean_rounds for one in self._kernels))
        earlier = sum(one.earlier_rounds for one in self._kernels)
        begun = f", going on from {counted(earlier, 'round')}" if earlier else ""
        return begun if clean == rounds else f"{begun}, {clean} clean of {counted(rounds, 'round')}"

    @property
    def _clean(self) -> bool:
        """Whether enough runs of the model and enough rounds of the kernels were not disturbed."""
        return not any(one.contended for one in (*self._references, *self._kernels))

    @property
    def _kernel_s(self) -> float:
        return sum(one.seconds for one in self._kernels)

    @property
    def state(self) -> MachineState | None:
        """The machine's state during the session; None where control workloads do not show it."""
        if self._request.trace.device != "cpu":
            return None
        if self._states is not None:
            state = self._states.state
        else:
            assert self._pool is not None, "either is there on the CPU"
            state = MachineState.of_pool(self._request.profile.pool(self._pool))
        return state if state.known else None

    def reference(self) -> Reference:
        """Real inference so far, in all processes."""
        return Reference.joined([one.reference() for one in self._references])

    def end(self) -> float:
        """End the pools in the profile. Returns the wall seconds that were spent timing kernels."""
        processes = [one for one in self._kernels if isinstance(one, KernelProcess)]
        model_flags = subnormal_flags(self._forward, self._request.trace.device)
        self.flags += model_flags
        if processes:
            self.flags += end(processes, model_flags)[2]
        faults = None if processes else self.reference().process_times[0].faults
        for sampler in [*(one for one in self._kernels if isinstance(one, Sampler)), *self._others]:
            _, flags = sampler.end(model_faults={} if faults is None else {0: faults}, model_flags=model_flags)
            if sampler.condition.timing != "back_to_back":  # a baseline's alone
                self.flags += flags
        return self._kernel_s + self._binding_s


def _first_positions(trace: Trace) -> list[int]:
    """The position of the first occurrence of each distinct op call."""
    first = {traced.call.key: position for position, traced in reversed(list(enumerate(trace.calls)))}
    return sorted(first.values())
