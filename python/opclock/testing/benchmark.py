"""Times one model of a test, and compares it with what a baseline has of the same test."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from opclock.argument_checks import Count, Seconds, checked
from opclock.board.identity import read_board
from opclock.errors import ProfileError
from opclock.estimation.estimate import estimate
from opclock.estimation.models_in_profile import estimate_of
from opclock.estimation.result import Estimate
from opclock.flags import Flag, ordered, precision_flags
from opclock.models.loading import Model
from opclock.profiles.machine import same_machine
from opclock.profiles.machine_state import MachineState, usual_state
from opclock.profiles.maintenance import merge
from opclock.profiles.profile import Profile
from opclock.progress import silent
from opclock.temporary import temporary_folder
from opclock.timing.reference import Reference
from opclock.timing.threads import thread_team
from opclock.tracing.model_inputs import arguments_of
from opclock.tracing.recorder import trace
from opclock.tracing.trace import check_calls
from opclock.validation.session import InterleavedSession, Request


@dataclass(frozen=True)
class Slowdown:
    """A model's time now, divided by that of its baseline.

    Both are estimates from op calls and host, for the machine's state of now.

    Attributes:
        baseline: the estimate from the baseline.
        ratio: the time now / that of the baseline; above 1 it is slower.
        low: lower end of its 95 % interval.
        high: the upper end.
        comparable: whether the machine's state is known for both.
    """

    baseline: Estimate
    ratio: float
    low: float
    high: float
    comparable: bool

    @staticmethod
    def of(now: Estimate, baseline: Estimate, *, comparable: bool) -> Slowdown:
        """Compare two estimates. Their errors are independent, so the halves of their intervals add as such do."""
        shift = math.log(now.total_s / baseline.total_s)
        below, above = _halves(now), _halves(baseline)
        low = math.exp(shift - math.hypot(below[0], above[1]))
        high = math.exp(shift + math.hypot(below[1], above[0]))
        return Slowdown(baseline, math.exp(shift), low, high, comparable)

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


def _halves(one: Estimate) -> tuple[float, float]:
    """Both halves of an estimate's interval, as logarithms."""
    low = math.log(one.total_s / one.ci_low_s) if one.ci_low_s > 0 else math.inf
    return low, math.log(one.ci_high_s / one.total_s)


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
        request = Request(
            Model(name, model, arguments_of(model, inputs)), recorded, profile, threads, 0, explain=False, max_s=max_s
        )
        with thread_team(threads):
            session = InterleavedSession(request)
            session.run(silent, name)
            session.end()
        reference, state = session.reference(), session.state
        now = estimate(recorded, profile, threads=threads, state=state)
        contended: tuple[Flag, ...] = ("contended",) if reference.contended else ()
        imprecise = precision_flags(reference.median_s, *reference.interval_s)
        flags = ordered([*contended, *session.flags, *now.flags, *imprecise])
        done = Benchmark(name, reference, now, flags)
        return done if baseline is None else _compared(done, baseline, profile, state)


def _compared(done: Benchmark, path: Path, profile: Profile, state: MachineState | None) -> Benchmark:
    """Compare with the baseline, or make the measurement the baseline."""
    slowdown = _slowdown(done, path, state) if path.exists() else None
    if slowdown is not None:
        return replace(done, slowdown=slowdown)
    if "contended" in done.flags:
        return done
    with Profile.create_or_open(path, read_board()) as kept:
        merge(kept, profile.path)
    return replace(done, kept=True)


def _slowdown(done: Benchmark, path: Path, state: MachineState | None) -> Slowdown | None:
    """Compare with what the baseline has of this name; None where it lacks that. Raises ProfileError: see above."""
    now = done.estimate
    threads, device = now.setting.threads, now.setting.device
    with Profile.open(path) as profile:
        board, here = profile.board(), read_board()
        if not same_machine(board, here.to_json()):
            raise ProfileError(
                f"the baseline {path} is of another machine ({board['identity']}), this is {here.identity}: take the "
                "baseline on this one, in the same job"
            )
        known = device != "cpu" or (state is not None and usual_state(profile, threads).known)
        found = estimate_of(profile, done.name, threads=threads, device=device, state=state if known else None)
    comparable = known and "contended" not in done.flags
    return None if found is None else Slowdown.of(now, found, comparable=comparable)
