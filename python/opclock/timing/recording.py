"""Stores a pool's rounds in a profile."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from opclock.board.accelerator import read_device
from opclock.board.contention import stalled_s
from opclock.board.state import read_state, team_flags
from opclock.errors import ProfileError
from opclock.extension import load_aten
from opclock.flags import Flag
from opclock.profiles.condition import Condition
from opclock.profiles.disturbance import Readings, contended, disturbed
from opclock.profiles.pool import Pool
from opclock.profiles.profile import Profile
from opclock.timing.binding import BoundPool
from opclock.timing.flags import clock_flags, device_flags, drift_flags, throttle_flags
from opclock.timing.host_playback import Host
from opclock.timing.rounds import Rounds
from opclock.timing.watching import is_sampled, op_calls
from opclock.tracing.macs import bytes_per_call


def clock_facts() -> dict[str, Any]:
    """Facts about the clock that times pools, and a check of its rate against the OS clock."""
    clock = load_aten().process_clock()
    proof = clock.prove()
    return {
        "name": clock.name, "rate_hz": clock.rate_hz, "nominal_hz": clock.nominal_hz,
        "resolution_s": clock.resolution_s, "read_cost_s": clock.read_cost_s,
        "shortest_sample_s": clock.shortest_sample_s,
        "disagreement": proof.disagreement, "agrees": proof.agrees,
    }  # fmt: skip


def _model(pool: BoundPool) -> dict[str, Any]:
    """The name of a whole model and the modules of its op calls, which the pool keeps."""
    if not pool.model:
        return {}
    modules = [[traced.module, traced.module_type] for traced in pool.calls]
    return {"name": pool.model, "modules": modules}


class PoolRecord:
    """One pool in a profile: starts or continues it, adds rounds, and ends it."""

    def __init__(
        self, profile: Profile, condition: Condition, pool: BoundPool, host: Host | None, seed: int, process: int = 0
    ) -> None:
        """Read the board's state before the rounds. Nothing is written before ``begin``."""
        self._profile, self._condition, self._pool, self._host, self._seed = profile, condition, pool, host, seed
        self._process = process  # 0: this process takes all rounds
        self._number: int | None = None
        self._board_before = read_state()
        self._clock_before = clock_facts()
        self._stalled_before_s = stalled_s()
        self._control_s: list[float] = []
        self.rounds = 0  # finished rounds, disturbed ones too
        self.clean_s: list[float] = []  # seconds of each clean round
        self.blocks: list[int] = []  # the number of its block
        self._block = 0
        self.earlier_rounds = 0  # of ``rounds``, those that an interrupted measurement had taken

    @property
    def process(self) -> int:
        """The number of this process among those that took turns in the pool; 0 where it takes all rounds."""
        return self._process

    @property
    def number(self) -> int:
        """The pool's number in the profile."""
        assert self._number is not None, "warm_up comes first"
        return self._number

    @property
    def contended(self) -> bool:
        """Whether other programs disturbed so many rounds that too few are clean."""
        return contended(len(self.clean_s), self.rounds)

    def begin(self, number: int | None = None) -> None:
        """Start the pool in the profile, or continue an interrupted one with the same op calls.

        Args:
            number: of the pool, where another process started it.
        """
        self._number = self._started() if number is None else number
        if number is None:
            self.earlier_rounds = self._of_rounds("count(*)")
        if self._process:  # those that took turns before an interruption are other processes
            self._process += self._of_rounds("coalesce(max(process), 0)")

    def _of_rounds(self, expression: str) -> int:
        """The value of an SQL expression over the rounds that the profile has of the pool."""
        return int(self._profile.ask(f"SELECT {expression} FROM round WHERE pool = ?", self.number)[0][0])

    def _started(self) -> int:
        """Start the pool, or continue an interrupted one. Returns its number."""
        # An interrupted pool goes on only with its own clock, which holds for all of its rounds.
        keys = [*self._pool.keys, self._host.key if self._host else "", self._clock_before["name"]]
        keys += ["several processes"] if self._process else []
        signature = hashlib.sha256("\n".join(keys).encode()).hexdigest()
        number = self._profile.resume_pool(self._condition, signature)
        if number is None:
            return self._start(signature)
        earlier = self._profile.pool(number)
        self._sample_as(earlier)
        if not self._process:
            self._continue(earlier)
        return number

    def _sample_as(self, earlier: Pool) -> None:
        """Make as many calls for a sample as in the pool's earlier rounds: the next warm-up may decide otherwise."""
        try:
            for position, calls in enumerate(earlier.calls_per_sample):
                self._pool.compiled.set_calls_per_sample(position, calls)
        except (ValueError, TypeError, IndexError) as error:
            raise ProfileError(f"the profile {self._profile.path} is damaged ({error}): restore a copy") from error

    def _start(self, signature: str) -> int:
        pool, host = self._pool, self._host
        calls_per_sample = [pool.compiled.calls_per_sample(number) for number in range(len(pool.keys))]
        return self._profile.start_pool(
            self._condition,
            pool.keys,
            calls_per_sample,
            signature=signature,
            calls=pool.calls,
            host=(host.key, host.kinds) if host else None,
            context={
                "seed": self._seed,
                "bytes_per_call": bytes_per_call(pool.calls),
                "before": self._board_before.to_json(),
                "clock_before": self._clock_before,
                "device_before": read_device(self._condition.device),
                "waits": pool.waiting,
                "model": _model(pool) if host else {},
                "python_calls": list(host.python_calls) if host else [],
                "small_models": op_calls(self._condition.threads) if is_sampled(self._condition, host) else {},
            },
        )

    def _continue(self, earlier: Pool) -> None:
        self._counted(earlier)
        if not self.blocks:
            return
        self._block = self.blocks[-1] + 1
        for key, group in self._pool.groups.items():
            self._pool.compiled.add_earlier(group, list(earlier.measurement(key).samples))

    def count(self) -> Pool:
        """Count all rounds that the profile has of the pool. Returns the pool."""
        pool = self._profile.pool(self.number)
        self._counted(pool)
        return pool

    def _counted(self, pool: Pool) -> None:
        self.rounds = pool.rounds
        if len(pool.blocks) == pool.clean:  # else the least disturbed ones are among them
            self._control_s, self.clean_s, self.blocks = list(pool.control_s), list(pool.rounds_s), pool.blocks.tolist()

    def add(self, rounds: Rounds, readings: Readings, controls: Mapping[str, float] | None = None) -> None:
        """Store finished rounds, and the control workloads that were sampled before them (seconds, by name).

        Raises ProfileError where the profile cannot be written.
        """
        if not len(rounds.seconds):
            return
        self._profile.add_rounds(
            self.number,
            rounds.seconds,
            rounds.control_s,
            rounds.host_s,
            readings,
            controls=controls,
            process=self._process,
        )
        clean = ~disturbed(readings)
        self._control_s += rounds.control_s[clean].tolist()
        self.clean_s += rounds.total_s[clean].tolist()
        self.blocks += [self._block] * int(clean.sum())
        self._block += 1
        self.rounds += len(clean)

    def end(self, ended: str, model_faults: Mapping[int, float], model_flags: Sequence[Flag] = ()) -> tuple[Flag, ...]:
        """Store why sampling stopped and what is known of the model (see ``Sampler.end``), and the board's state.

        Returns the flags.
        """
        pool = self._pool.compiled
        reasons = {key: pool.reason(group) for key, group in self._pool.groups.items()}
        after, clock_after = read_state(), clock_facts()
        device_after = read_device(self._condition.device)
        flags = (
            *(("contended",) if self.contended else ()),
            *throttle_flags(self._board_before, after),
            *clock_flags(self._clock_before, clock_after),
            *drift_flags(self._control_s),
            *team_flags(after.affinity, self._condition.threads),
            *device_flags(device_after, pool.idle_rounds, self.rounds),
        )
        self._profile.end_pool(
            self.number, ended,
            ["time_cap" if reasons[key] == "none" else reasons[key] for key in self._pool.keys],
            {"after": after.to_json(), "clock_after": clock_after, "flags": list(flags),
             "clock_faults": pool.clock_faults, "device_after": device_after,
             "device_resolution_s": pool.device_resolution_s, "stalled_s": self._stalled_s(),
             "model_faults": dict(model_faults), "model_flags": list(model_flags)},
        )  # fmt: skip
        return self._profile.pool(self.number).flags

    def _stalled_s(self) -> float | None:
        """Seconds since before the pool in which some process waited for a core; None where they are not counted.

        Stored for whoever reads the profile. It marks no round: the whole machine is counted, not this process alone.
        """
        stalled = stalled_s() - self._stalled_before_s
        return None if math.isnan(stalled) else stalled
