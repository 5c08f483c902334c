"""Times one model of a test, and compares it with what a baseline has of the same test."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from opclock.argument_checks import Count, Seconds, checked
from opclock.board.identity import read_board
from opclock.errors import ProfileError
from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.flags import Flag, ordered, precision_flags
from opclock.models.loading import Model
from opclock.profiles.machine import same_machine
from opclock.profiles.machine_state import MachineState
from opclock.profiles.maintenance import merge
from opclock.profiles.pool import Pool
from opclock.profiles.profile import Profile
from opclock.profiles.shift import Shift
from opclock.progress import silent
from opclock.temporary import temporary_folder
from opclock.timing.reference import Reference
from opclock.timing.threads import thread_team
from opclock.tracing.model_inputs import arguments_of
from opclock.tracing.recorder import trace
from opclock.tracing.trace import check_calls
from opclock.validation.session import InterleavedSession, Request

REFERENCE = "reference"  # in a pool's context
# Half the 95 % interval of what two processes of one model differ by, as a logarithm: their standard deviation is 1 to
# 3 % (docs/gate.md).
PROCESSES = 0.055


@dataclass(frozen=True)
class Slowdown:
    """How much slower real inference is than in the baseline, without the machine's part.

    Attributes:
        baseline_s: the median of the baseline, in seconds, for the machine's state of now.
        ratio: the time now / that; above 1 it is slower.
        low: lower end of its 95 % interval.
        high: the upper end.
        comparable: whether the machine's state is known for both, and other programs did not disturb the runs.
    """

    baseline_s: float
    ratio: float
    low: float
    high: float
    comparable: bool

    @staticmethod
    def of(now: Reference, before: Timed, shift: Shift | None, *, comparable: bool) -> Slowdown:
        """Compare two measurements.

        Args:
            now: real inference.
            before: the same, of the baseline.
            shift: from the machine's state then to that of now; None where it is not known.
            comparable: see above.
        """
        moved = shift or Shift()
        value = math.log(now.median_s / before.median_s) - moved.log
        mine, theirs = _halves(now.median_s, *now.interval_s), _halves(before.median_s, before.low_s, before.high_s)
        others = math.hypot(PROCESSES, moved.half_width)
        low, high = math.hypot(mine[0], theirs[1], others), math.hypot(mine[1], theirs[0], others)
        return Slowdown(
            before.median_s * moved.factor, math.exp(value), math.exp(value - low), math.exp(value + high), comparable
        )

    def verdict(self, max_slowdown: float) -> str:
        """Say "slower" if the whole interval is above what is allowed; else "faster", "same" or "undecided".

        Args:
            max_slowdown: the allowed one, a fraction.
        """
        if not self.comparable:
            return "undecided"
        if self.high < 1.0:
            return "faster"
        if self.low > 1.0 + max_slowdown:
            return "slower"
        return "same" if self.high <= 1.0 + max_slowdown else "undecided"


class Timed(NamedTuple):
    """The median of real inference and its 95 % interval, in seconds, as a profile keeps them beside a pool."""

    median_s: float
    low_s: float
    high_s: float


def _halves(middle_s: float, low_s: float, high_s: float) -> tuple[float, float]:
    """Both halves of an interval, as logarithms."""
    return math.log(middle_s / low_s) if low_s > 0 else math.inf, math.log(high_s / middle_s)


@dataclass(frozen=True)
class Benchmark:
    """What ``opclock_bench`` measured.

    Attributes:
        name: of the test.
        reference: real inference.
        estimate: from op calls and host, sampled in turn with real inference.
        flags: what was unusual.
        slowdown: against the baseline; None where there is none.
        kept: whether this measurement became the baseline.
    """

    name: str
    reference: Reference
    estimate: Estimate
    flags: tuple[Flag, ...]
    slowdown: Slowdown | None = None
    kept: bool = False


@checked
def benchmark(
    model: torch.nn.Module, inputs: object, *, name: str, threads: Count | None = None, max_s: Seconds | None = None,
    baseline: Path | None = None,
) -> Benchmark:  # fmt: skip
    """Time a model, and compare it with a baseline.

    Args:
        model: in eager mode, on the device of its inputs.
        inputs: a tuple of positional arguments, a mapping, both kinds as ``CallInputs``, or one argument.
        name: by which the baseline knows it.
        threads: PyTorch's threads; the current setting if None.
        max_s: largest number of seconds of kernel rounds; see ``opclock.validate``.
        baseline: a profile. Where it lacks the model of this name, or does not exist, the measurement becomes its
            baseline, unless other programs disturbed it.

    Returns:
        The measurement, and how it compares.

    Raises:
        OpclockError: the model cannot be traced, run or timed, or the baseline is of another machine or cannot be used.
    """
    threads = torch.get_num_threads() if threads is None else threads
    recorded = trace(model, inputs, name=name)
    check_calls(recorded)
    with temporary_folder() as folder, Profile.create_or_open(folder / "now.sqlite", read_board()) as profile:
        request = Request(Model(name, model, arguments_of(model, inputs)), recorded, profile, threads, 0, False, max_s)
        with thread_team(threads):
            session = InterleavedSession(request)
            session.run(silent, name)
            session.end()
        reference = session.reference()
        pool = profile.model_pools(name)[0]
        profile.annotate_pool(pool, {REFERENCE: Timed(reference.median_s, *reference.interval_s)._asdict()})
        now = estimate(recorded, profile, threads=threads, state=session.state)
        contended: tuple[Flag, ...] = ("contended",) if reference.contended else ()
        imprecise = precision_flags(reference.median_s, *reference.interval_s)
        done = Benchmark(name, reference, now, ordered([*contended, *session.flags, *now.flags, *imprecise]))
        return done if baseline is None else _compared(done, baseline, profile, profile.pool(pool))


def _compared(done: Benchmark, path: Path, profile: Profile, pool: Pool) -> Benchmark:
    """Compare with the baseline, or make the measurement the baseline."""
    slowdown = _slowdown(done, path, pool) if path.exists() else None
    if slowdown is not None:
        return replace(done, slowdown=slowdown)
    if done.reference.contended:
        return done
    with Profile.create_or_open(path, read_board()) as kept:
        merge(kept, profile.path)
    return replace(done, kept=True)


def _slowdown(done: Benchmark, path: Path, pool: Pool) -> Slowdown | None:
    """Compare with what the baseline has of this name; None where it lacks that. Raises ProfileError: see above."""
    condition = pool.condition
    with Profile.open(path) as profile:
        board, here = profile.board(), read_board()
        if not same_machine(board, here.to_json()):
            raise ProfileError(
                f"the baseline {path} is of another machine ({board['identity']}), this is {here.identity}: take the "
                "baseline on this one, in the same job"
            )
        wanted = (condition.threads, condition.device)
        pools = (profile.pool(number) for number in profile.model_pools(done.name))
        before = next((one for one in pools if (one.condition.threads, one.condition.device) == wanted
                       and REFERENCE in one.context), None)  # fmt: skip
    if before is None:
        return None
    shift = MachineState.of_pool(before).to(MachineState.of_pool(pool)) if condition.device == "cpu" else Shift()
    comparable = shift is not None and not done.reference.contended
    return Slowdown.of(done.reference, Timed(**before.context[REFERENCE]), shift, comparable=comparable)
