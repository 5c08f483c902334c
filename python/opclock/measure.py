"""Times the op calls of a trace into a profile. The only caller of the compiled pool."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import psutil
import torch

from opclock.arguments import Arguments, Bound
from opclock.board import BoardState, read_state
from opclock.condition import Condition, Timing
from opclock.errors import OpCallError, OptionError
from opclock.extension import load_aten, load_core
from opclock.host import Forward, Host, host_for
from opclock.host_table import host_key
from opclock.measurement import Samples
from opclock.op import TensorSpec
from opclock.profile import Profile
from opclock.progress import Progress, silent
from opclock.trace import Trace

WARM_UP_S = 1.0  # at most; the plateau usually ends it earlier
LEAST_S = 2.0  # of rounds: shorter windows differ by more than the intervals inside them say
MOST_S = 3.5  # of rounds for a small model, and
MOST_LATENCIES = 40  # times its own latency for a large one
FEWEST_ROUNDS = 5
POOL_MEMORY_SHARE = 0.4  # of the memory that is free: the model itself and its inputs need room, too
DRIFT_LIMIT = 0.05  # of the anchor between the halves of a pool: beyond it the machine changed under the rounds


@cache
def process_clock() -> Any:  # noqa: ANN401
    """The clock of this process, calibrated once."""
    return load_core().Clock.choose()


def clock_facts() -> dict[str, Any]:
    """The clock, and its rate against the OS clock just now."""
    clock = process_clock()
    proof = clock.prove()
    return {
        "name": clock.name, "rate_hz": clock.rate_hz, "nominal_hz": clock.nominal_hz,
        "resolution_s": clock.resolution_s, "read_cost_s": clock.read_cost_s,
        "disagreement": proof.disagreement, "agrees": proof.agrees,
    }  # fmt: skip


@contextmanager
def thread_team(threads: int) -> Iterator[None]:
    """PyTorch with this many threads inside the block. Raises OptionError below 1."""
    if threads < 1:
        raise OptionError(f"--threads {threads}: at least one thread is needed")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class MeasureSummary:
    """What one call of measure did."""

    timed: int  # distinct op calls timed now
    known: int  # distinct op calls the profile had already
    rounds: int
    seconds: float  # wall time spent timing
    ended: str  # settled, time_cap or nothing_to_do
    flags: tuple[str, ...]


class Sampling:
    """Op calls of one trace at the given positions, bound and timed together; every round goes into the profile."""

    def __init__(
        self,
        trace: Trace,
        positions: Sequence[int],
        arguments: Arguments,
        profile: Profile,
        condition: Condition,
        host: Host | None,
        *,
        seed: int = 0,
    ) -> None:
        self.trace = trace
        self.condition = condition
        self.rounds = 0
        self.seconds = 0.0
        self._positions = positions
        self._profile = profile
        self._host = host
        self._seed = seed
        self._in_model = condition.timing == "in_model"
        self._keys = [trace.calls[position].call.key for position in positions]
        self._groups = {key: group for group, key in enumerate(dict.fromkeys(self._keys))}
        self._pool = load_aten().Pool(seed, not self._in_model)
        self._bind(arguments)
        self._number: int | None = None
        self._before = read_state()
        self._clock_before = clock_facts()
        self._anchor_s: list[float] = []

    def _bind(self, arguments: Arguments) -> None:
        newest = _just_written(self.trace) if self._in_model else [()] * len(self.trace.calls)
        checked: set[str] = set()
        for position, key in zip(self._positions, self._keys, strict=True):
            traced = self.trace.calls[position]
            bound = arguments.bind(traced)
            overwritten, rewritten = _preparations(bound, traced.reads, traced.writes, newest[position])
            specs = traced.call.tensors()
            restored = [(bound.tensors[i], arguments.pristine(bound.tensors[i], specs[i])) for i in overwritten]
            rewritten_tensors = [bound.tensors[i] for i in rewritten]
            with _named(traced.call.operator):
                number = self._pool.add(
                    traced.call.operator,
                    traced.call.overload,
                    bound.args,
                    bound.kwargs,
                    self._groups[key],
                    rewritten_tensors,
                    restored,
                )
            if key not in checked:
                checked.add(key)
                _check_answer(self._pool, number, str(traced.call), traced.call.operator, traced.call.overload, bound,
                              restored)  # fmt: skip
        if self._in_model:
            self._hold_outputs()

    def _hold_outputs(self) -> None:
        """Outputs live as long as the model keeps them, so that memory is handed out as it is there."""
        place = {position: number for number, position in enumerate(self._positions)}
        for position, made in enumerate(self.trace.allocations):
            if position not in place or not made:
                continue
            freed = max(self.trace.storages[number].freed_before for number in made)
            until = place.get(freed, 0)  # beyond this run of calls: until the next round
            if freed > position + 1 and until != place[position]:
                self._pool.hold_outputs(place[position], until)

    def warm_up(self) -> None:
        """Run until rounds stop getting faster, then begin or continue the pool in the profile."""
        start = time.perf_counter()
        with _named("the pool"):
            self._pool.warm_up(WARM_UP_S)
        if self._host is not None:
            self._host.round(self._pool)  # warms the host and, not kept, its company
        self.seconds += time.perf_counter() - start
        digest = hashlib.sha256("\n".join([*self._keys, self._host.key if self._host else ""]).encode()).hexdigest()
        self._number = self._profile.interrupted_pool(self.condition, digest)
        if self._number is None:
            self._number = self._profile.start_pool(
                self.condition,
                self._keys,
                [self._pool.calls_per_sample(number) for number in range(len(self._keys))],
                signature=digest,
                host=(self._host.key, self._host.kinds) if self._host else None,
                context={"seed": self._seed, "before": self._before.to_json(), "clock_before": self._clock_before},
            )
        else:
            earlier = self._profile.pool(self._number)
            self.rounds = len(earlier.anchor_s)
            self._anchor_s = list(earlier.anchor_s)
            for key, group in self._groups.items():
                self._pool.add_earlier(group, list(earlier.measurement(key).samples))

    def round(self) -> float:
        """One kept round; returns the seconds of its op calls and host work."""
        assert self._number is not None, "warm_up comes first"
        start = time.perf_counter()
        host_s: Samples | None = None
        if self.condition.timing == "back_to_back":
            seconds, anchor_s = self._pool.back_to_back()
        elif self._host is None:
            self._pool.begin_round()
            seconds, anchor_s = self._pool.end_round()
        else:
            seconds, anchor_s, host_s = self._host.round(self._pool)
        self.seconds += time.perf_counter() - start
        self._profile.add_round(self._number, self.rounds, np.array(seconds), anchor_s, host_s)
        self.rounds += 1
        self._anchor_s.append(anchor_s)
        return float(np.sum(seconds)) + (0.0 if host_s is None else float(np.sum(host_s)))

    @property
    def settled(self) -> bool:
        """Whether every distinct op call has been sampled enough."""
        return bool(self._pool.settled())

    def end(self) -> tuple[str, tuple[str, ...]]:
        """Record why sampling stopped; returns that and what was wrong with the board meanwhile."""
        assert self._number is not None, "warm_up comes first"
        settled = self.condition.timing == "back_to_back" or self.settled
        reasons = {key: self._pool.reason(group) for key, group in self._groups.items()}
        capped = ["time_cap" if reasons[key] == "none" else reasons[key] for key in self._keys]
        after, clock_after = read_state(), clock_facts()
        flags = _flags(self._before, after, self._clock_before, clock_after, self._anchor_s)
        ended = "settled" if settled else "time_cap"
        self._profile.end_pool(
            self._number, ended, capped,
            {"after": after.to_json(), "clock_after": clock_after, "flags": list(flags),
             "clock_faults": self._pool.clock_faults},
        )  # fmt: skip
        return ended, flags


@contextmanager
def _named(operator: str) -> Iterator[None]:
    """Turn the extension's errors into ours, which name the operator."""
    try:
        yield
    except ValueError as error:  # names it already
        raise OpCallError(f"cannot time {error}") from error
    except (RuntimeError, MemoryError) as error:
        raise OpCallError(f"cannot time {operator}: {str(error).splitlines()[0]}") from error


def _just_written(trace: Trace) -> list[tuple[int, ...]]:
    """By op call: the storages whose last writer was the op call before it (views in between do not count)."""
    newest: list[tuple[int, ...]] = []
    last: tuple[int, ...] = ()
    for traced in trace.calls:
        newest.append(tuple(number for number in traced.reads if number in last))
        if traced.writes:
            last = traced.writes
    return newest


def _preparations(
    bound: Bound, reads: Sequence[int], writes: Sequence[int], newest: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Which tensor arguments to restore before each sample (the call writes them), and which to rewrite."""
    overwritten = [i for i, number in enumerate(reads) if number in writes]
    taken = {bound.tensors[i].data_ptr() for i in overwritten}
    rewritten = []
    for i, number in enumerate(reads):
        tensor = bound.tensors[i]
        if number in newest and tensor.is_floating_point() and tensor.data_ptr() not in taken and not _overlaps(tensor):
            taken.add(tensor.data_ptr())
            rewritten.append(i)
    return overwritten, rewritten


def _overlaps(tensor: torch.Tensor) -> bool:
    return any(stride == 0 and size > 1 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _restore(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    with torch.inference_mode():
        for tensor, pristine in pairs:
            tensor.copy_(pristine)


def _check_answer(
    pool: Any,  # noqa: ANN401
    number: int,
    shown: str,
    operator: str,
    overload: str,
    bound: Bound,
    restored: Sequence[tuple[torch.Tensor, torch.Tensor]],
) -> None:
    """Compare the answer of the path that is timed with PyTorch's own. Raises OpCallError where they differ."""
    namespace, _, name = operator.partition("::")
    own = getattr(getattr(getattr(torch.ops, namespace), name), overload or "default")
    _restore(restored)  # another call of the model may have written the buffer that they share
    with _named(operator):
        mine = pool.answer(number)
    if torch.Tag.nondeterministic_seeded in own.tags or "empty" in name:
        return
    mine = [item.clone() if isinstance(item, torch.Tensor) else item for item in mine]
    _restore(restored)
    with torch.inference_mode():
        answer = own(*bound.args, **bound.kwargs)
    theirs = list(answer) if isinstance(answer, tuple) and len(mine) != 1 else [answer] if mine else []
    for left, right in zip(mine, theirs, strict=True):
        if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
            tolerance = 1e-2 if left.element_size() < 4 else 1e-4
            if not torch.allclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=True):
                raise OpCallError(f"{shown} gives another answer through opclock than through PyTorch: not timed; "
                                  "please report it")  # fmt: skip


def _flags(
    before: BoardState, after: BoardState, clock_before: dict[str, Any], clock_after: dict[str, Any],
    anchor_s: Sequence[float],
) -> tuple[str, ...]:  # fmt: skip
    """What was wrong with the board while the rounds ran; an empty tuple for nothing."""
    flags = []
    if {"throttled", "frequency capped", "under-voltage", "temperature limit"} & set(after.throttle):
        flags.append("throttled")
    if not (clock_before["agrees"] and clock_after["agrees"]):
        flags.append("clock_disagrees")
    if abs(load_core().drift(list(anchor_s))) > DRIFT_LIMIT:
        flags.append("drifting")
    return tuple(flags)


def condition_of(trace: Trace, threads: int, timing: Timing = "in_model") -> Condition:
    """The condition that the op calls of this trace are timed in."""
    return Condition.of(timing, trace.device, threads, trace.working_set)


def split(trace: Trace, limit_bytes: int) -> list[range]:
    """Consecutive runs of op calls whose arguments fit into this much memory together.

    Raises OpCallError for a single op call that does not fit.
    """
    runs: list[range] = []
    first, held = 0, 0
    seen: set[tuple[int, TensorSpec]] = set()
    for position, traced in enumerate(trace.calls):
        specs = traced.call.tensors()
        needed = {
            (number, spec) if trace.storages[number].kind == "weight" else (-1, spec)
            for number, spec in zip(traced.reads, specs, strict=True)
        }
        alone = sum(spec.nbytes for _, spec in needed)
        if alone > limit_bytes:
            raise OpCallError(f"{traced.call} needs {alone / 1e6:.0f} MB, {limit_bytes / 1e6:.0f} MB may be used: "
                              "use a smaller input or batch")  # fmt: skip
        fresh = sum(spec.nbytes for number, spec in needed - seen)
        if held + fresh > limit_bytes:
            runs.append(range(first, position))
            first, held, fresh = position, 0, alone
            seen = set()
        held += fresh
        seen |= needed
    runs.append(range(first, len(trace.calls)))
    return runs


def lacking(trace: Trace, profile: Profile, condition: Condition) -> set[str]:
    """Keys of the trace's op calls that the profile has no finished measurement of in this condition."""
    return set(trace.unique) - profile.measured(condition)


def measure(
    trace: Trace,
    profile: Profile,
    *,
    forward: Forward | None = None,
    threads: int | None = None,
    seed: int = 0,
    most_s: float | None = None,
    progress: Progress = silent,
) -> MeasureSummary:
    """Time the op calls of a trace that the profile lacks, and the model's host.

    Args:
        trace: what to time.
        profile: where every finished round is kept; running again after an interruption goes on from there.
        forward: calls the model on its inputs, so that its own Python can be played among the kernels (which are
            switched off for it: the model is never run). Without it, a table by kind of call serves for the host.
        threads: PyTorch's threads; as they are set now if None.
        seed: of the rounds' order, where it is random.
        most_s: wall seconds of rounds at most; by default 3.5 s or 40 times the model's latency.
        progress: told what is done and how far it is.

    Raises:
        OpCallError: an op call that cannot be rebuilt, bound or timed, or too little memory.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread.
    """
    threads = torch.get_num_threads() if threads is None else threads
    condition = condition_of(trace, threads)
    missing = lacking(trace, profile, condition)
    known = len(trace.unique) - len(missing)
    host_known = forward is None or profile.host_measured(condition, host_key(trace))
    if not missing and host_known:
        return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", ())
    with thread_team(threads):
        start = time.perf_counter()
        host, remark = host_for(trace, forward)
        if not missing and remark:  # its host cannot be played, and the table has been filled with the kernels
            return MeasureSummary(0, known, 0, 0.0, "nothing_to_do", ())
        rounds, flags, endings = 0, [remark] if remark else [], []
        runs = split(trace, int(psutil.virtual_memory().available * POOL_MEMORY_SHARE))
        seconds = time.perf_counter() - start
        for run in runs:
            start = time.perf_counter()
            sampling = Sampling(trace, run, Arguments(trace), profile, condition, host, seed=seed)
            seconds += time.perf_counter() - start
            sampling.warm_up()
            _sample(sampling, most_s, progress)
            ended, complaints = sampling.end()
            rounds += sampling.rounds
            seconds += sampling.seconds
            endings.append(ended)
            flags += complaints
    ended = "settled" if set(endings) == {"settled"} else "time_cap"
    return MeasureSummary(len(missing), known, rounds, seconds, ended, tuple(dict.fromkeys(flags)))


def _sample(sampling: Sampling, most_s: float | None, progress: Progress) -> None:
    """Rounds until all op calls are sampled enough, or the time is up."""
    start = time.perf_counter()
    latency_s = sampling.round()
    cap_s = max(MOST_S, MOST_LATENCIES * latency_s) if most_s is None else most_s
    while True:
        spent_s = time.perf_counter() - start
        enough = sampling.rounds >= FEWEST_ROUNDS and spent_s >= min(LEAST_S, cap_s)
        if enough and (spent_s >= cap_s or sampling.settled):
            break
        progress(f"{sampling.trace.model}: round {sampling.rounds}", min(1.0, spent_s / cap_s))
        sampling.round()
    progress(f"{sampling.trace.model}: {sampling.rounds} rounds", 1.0)
