"""Op calls of one trace, bound and timed together. The only caller of the compiled pool."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from opclock.board.accelerator import queue_of, read_device
from opclock.board.cores import check_threads
from opclock.board.state import BoardState, read_state, team_flags
from opclock.extension import load_aten, load_core, process_clock
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.profiles.statistics import Samples, rounds_interval
from opclock.timing.cache_state import inputs, results
from opclock.timing.device_graph import Recording
from opclock.timing.host_playback import Host
from opclock.timing.inputs import Arguments
from opclock.timing.verification import check_answer, named, overwritten
from opclock.tracing.dataflow import feeds
from opclock.tracing.trace import Trace

WARM_UP_S = 1.0  # at most; the plateau usually ends it earlier
NARROW = 0.01  # half the interval of a round's median, as a fraction: below the repeatability floor
CHECKED = ("in_model", "interleaved", "back_to_back")  # of those that are timed together, the others come with these
REPLAYS = 3  # in a row, for one round
SHARE_ROUNDS = 5  # not recorded, that tell how a replay's time is shared
STARVED = 0.1  # of the rounds: in more, a device that waited for its host says little of its own time
DRIFT_LIMIT = 0.05  # of the anchor between the halves of a pool: beyond it the machine changed under the rounds

# Samples of rounds: seconds (rounds x op calls), the anchor's (rounds), the host's (rounds x kinds) where it is played.
Rounds = tuple[Samples, Samples, Samples | None]


def clock_facts() -> dict[str, Any]:
    """The clock, and its rate against the OS clock just now."""
    clock = process_clock()
    proof = clock.prove()
    return {
        "name": clock.name, "rate_hz": clock.rate_hz, "nominal_hz": clock.nominal_hz,
        "resolution_s": clock.resolution_s, "read_cost_s": clock.read_cost_s,
        "shortest_sample_s": clock.shortest_sample_s,
        "disagreement": proof.disagreement, "agrees": proof.agrees,
    }  # fmt: skip


@contextmanager
def thread_team(threads: int) -> Iterator[None]:
    """PyTorch with this many threads inside the block. Raises OptionError below 1 and above the cores it may use."""
    check_threads(threads)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        self._device = queue_of(condition.device)
        self._lane = "host" if self._device == "cpu" else condition.lane
        self._keys = [trace.calls[position].call.key for position in positions]
        self._groups = {key: group for group, key in enumerate(dict.fromkeys(self._keys))}
        with named(f"on {condition.device}"):
            self._pool = load_aten().Pool(seed, not condition.in_order, self._device, self._lane)
        self._bind(arguments)
        self._recording: Recording | None = None  # of all op calls, and how its time is shared among them
        self._shares: Samples = np.zeros(0)
        self._number: int | None = None
        self._before = read_state()
        self._clock_before = clock_facts()
        self._control_s: list[float] = []
        self._rounds_s: list[float] = []

    def _bind(self, arguments: Arguments) -> None:
        bound = {position: arguments.bind(self.trace.calls[position]) for position in self._positions}
        written: dict[int, list[torch.Tensor]] = {}
        if self._device == "cpu":  # what prepares a call would stand in line with it on a device
            written = results(self.trace, bound) if self.condition.in_order else inputs(self.trace, bound)
        checked: set[str] = set()
        for position, key in zip(self._positions, self._keys, strict=True):
            call, mine = self.trace.calls[position].call, bound[position]
            restored = [
                (mine.tensors[i], arguments.pristine(mine.tensors[i], call.tensors()[i]))
                for i in overwritten(self.trace.calls[position])
            ]
            with named(call.operator):
                number = self._pool.add(
                    call.operator,
                    call.overload,
                    mine.args,
                    mine.kwargs,
                    self._groups[key],
                    written.get(position, []),
                    restored,
                    self.trace.calls[position].launches,
                )
            if key not in checked and self.condition.timing in CHECKED:
                checked.add(key)
                self.seconds += check_answer(self._pool, number, call, mine, restored)
        if self.condition.in_order:
            self._hold_outputs()

    def _hold_outputs(self) -> None:
        """Outputs live as long as the model keeps them, so that memory is handed out as it is there.

        On a device they are fed to the calls that take them: nothing can make a buffer that stands for one as new in
        the caches, for that would stand in line with what is timed.
        """
        place = {position: number for number, position in enumerate(self._positions)}
        until: dict[int, int] = {}
        for position, made in enumerate(self.trace.allocations):
            if position in place and made:
                until[position] = max(self.trace.storages[number].freed_before for number in made)
        if self._lane == "device":
            for feed in feeds(self.trace):
                self._pool.feed(place[feed.target], feed.argument, place[feed.source], feed.output)
                until[feed.source] = max(until.get(feed.source, 0), feed.target + 1)
        for position, freed in until.items():
            last = place.get(freed, 0)  # beyond this run of calls: to the end of the round
            if freed > position + 1 and last != place[position]:
                self._pool.hold_outputs(place[position], last)

    def warm_up(self) -> None:
        """Run until rounds stop getting faster, then begin or continue the pool in the profile."""
        start = time.perf_counter()
        with named("the pool"):
            self._pool.warm_up(WARM_UP_S)
            if self.condition.timing == "recorded":
                self._record()
        if self._host is not None:
            self._round(self._empty(1), 0)  # warms the host and, not kept, its company
        self.seconds += time.perf_counter() - start
        digest = hashlib.sha256("\n".join([*self._keys, self._host.key if self._host else ""]).encode()).hexdigest()
        self._number = self._profile.interrupted_pool(self.condition, digest)
        if self._number is None:
            self._number = self._profile.start_pool(
                self.condition,
                self._keys,
                [self._pool.calls_per_sample(number) for number in range(len(self._keys))],
                signature=digest,
                calls=[self.trace.calls[position] for position in self._positions],
                host=(self._host.key, self._host.kinds) if self._host else None,
                context={
                    "seed": self._seed,
                    "before": self._before.to_json(),
                    "clock_before": self._clock_before,
                    "device_before": read_device(self.condition.device),
                    "waits": self._waiting(),
                },
            )
        else:
            earlier = self._profile.pool(self._number)
            self.rounds = len(earlier.control_s)
            self._control_s = list(earlier.control_s)
            self._rounds_s = list(earlier.rounds_s)
            for key, group in self._groups.items():
                self._pool.add_earlier(group, list(earlier.measurement(key).samples))

    def _record(self) -> None:
        """Record all op calls as one graph. Raises ModelError where they cannot be.

        Only a whole graph can be timed. What recording saves is taken to be the same for every call that launches: it
        is the way from one kernel to the next.
        """
        single_s = np.empty((SHARE_ROUNDS, len(self._keys)))
        for row in single_s:
            self._pool.begin_round()
            self._pool.end_round(row)
        self._pool.begin_round()
        self._recording = Recording(self._pool.issue, self.condition.device)
        alone_s = np.median(single_s, axis=0)
        launching = max(1, int(np.count_nonzero(alone_s)))
        saved_s = max(0.0, float(alone_s.sum()) - self._recording.replay_s(REPLAYS)) / launching
        left_s = np.maximum(alone_s - saved_s, 0.0)
        self._shares = left_s / left_s.sum() if left_s.sum() > 0 else left_s

    def block(self, rounds: int) -> float:
        """One round that is not kept, then so many that are; returns the median seconds of a kept one.

        The first finds the caches as other work left them (storing the block before, say); a model that runs again
        and again does not. An interruption leaves the finished rounds in the profile.
        """
        assert self._number is not None, "warm_up comes first"
        start = time.perf_counter()
        kept = self._empty(rounds)
        done = 0
        try:
            if self.condition.in_order and self._lane == "host":
                self._round(kept, 0)
            for number in range(rounds):
                self._round(kept, number)
                done += 1
        finally:
            self.seconds += time.perf_counter() - start
            seconds, control_s, host_s = kept
            self._keep(seconds[:done], control_s[:done], None if host_s is None else host_s[:done])
        return float(np.median(self._rounds_s[-rounds:]))

    def _keep(self, seconds: Samples, control_s: Samples, host_s: Samples | None) -> None:
        assert self._number is not None, "warm_up comes first"
        self._profile.add_rounds(self._number, seconds, control_s, host_s)
        rounds_s = seconds.sum(axis=1) if host_s is None else seconds.sum(axis=1) + host_s.sum(axis=1)
        self.rounds += len(seconds)
        self._control_s += control_s.tolist()
        self._rounds_s += rounds_s.tolist()

    def _waiting(self) -> list[str]:
        """Keys of the op calls in which the host waits for the device."""
        return sorted({key for key, waits in zip(self._keys, self._pool.waits, strict=True) if waits})

    def replay(self, rounds: int) -> Samples:
        """The op calls in order with no Python between them: seconds, rounds x op calls, after one not kept."""
        seconds = np.empty((rounds, len(self._keys)))
        for number in (0, *range(rounds)):
            self._pool.begin_round()
            self._pool.end_round(seconds[number])
        return seconds

    def _empty(self, rounds: int) -> Rounds:
        # Made before the rounds begin, and filled in by them: nothing is taken from the heap in between.
        host_s = None if self._host is None else np.empty((rounds, len(self._host.kinds)))
        return np.empty((rounds, len(self._keys))), np.empty(rounds), host_s

    def _round(self, into: Rounds, number: int) -> None:
        seconds, control_s, host_s = into
        if self._recording is not None:
            seconds[number] = self._shares * self._recording.replay_s(REPLAYS)
            control_s[number] = 0.0
        elif self.condition.timing == "back_to_back":
            control_s[number] = self._pool.back_to_back(seconds[number])
        elif self._host is None or host_s is None:
            self._pool.begin_round()
            control_s[number] = self._pool.end_round(seconds[number])
        else:
            control_s[number] = self._host.round(self._pool, seconds[number], host_s[number])

    @property
    def settled(self) -> bool:
        """Whether every distinct op call has been sampled enough, and a whole round, too."""
        if self._recording is None and not self._pool.settled():
            return False
        low, high = rounds_interval(np.array(self._rounds_s))
        return (high - low) / 2 <= NARROW * float(np.median(self._rounds_s))

    def end(self) -> tuple[str, tuple[str, ...]]:
        """Record why sampling stopped; returns that and what was wrong with the board meanwhile."""
        assert self._number is not None, "warm_up comes first"
        settled = self.condition.timing == "back_to_back" or self.settled
        reasons = {key: self._pool.reason(group) for key, group in self._groups.items()}
        capped = ["time_cap" if reasons[key] == "none" else reasons[key] for key in self._keys]
        after, clock_after = read_state(), clock_facts()
        flags = _flags(self._before, after, self._clock_before, clock_after, self._control_s)
        flags += team_flags(after.affinity, self.condition.threads)
        device_after = read_device(self.condition.device)
        if device_after.get("slowed"):
            flags += ("device_slowed",)
        if self._pool.starved > STARVED * self.rounds:
            flags += ("device_starved",)
        ended = "settled" if settled else "time_cap"
        self._profile.end_pool(
            self._number, ended, capped,
            {"after": after.to_json(), "clock_after": clock_after, "flags": list(flags),
             "clock_faults": self._pool.clock_faults, "device_after": device_after,
             "device_resolution_s": self._pool.device_resolution_s},
        )  # fmt: skip
        return ended, flags


def _flags(
    before: BoardState, after: BoardState, clock_before: dict[str, Any], clock_after: dict[str, Any],
    control_s: Sequence[float],
) -> tuple[str, ...]:  # fmt: skip
    """What was wrong with the board while the rounds ran; an empty tuple for nothing."""
    flags = []
    if after.throttled:
        flags.append("throttled")
    if not (clock_before["agrees"] and clock_after["agrees"]):
        flags.append("clock_disagrees")
    if abs(load_core().drift(list(control_s))) > DRIFT_LIMIT:
        flags.append("drifting")
    return tuple(flags)
