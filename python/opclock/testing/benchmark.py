"""Times one model of a test, and compares it with what a baseline has of the same test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from opclock.argument_checks import Count, Seconds, checked
from opclock.board.identity import read_board
from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.flags import Flag, ordered, precision_flags
from opclock.models.loading import Model
from opclock.profiles.profile import Profile
from opclock.progress import silent
from opclock.testing.baseline import REFERENCE, Baseline, Slowdown, Timed
from opclock.timing.reference import Reference
from opclock.timing.threads import thread_team
from opclock.tracing.model_inputs import arguments_of
from opclock.tracing.recorder import trace
from opclock.tracing.trace import check_calls
from opclock.validation.request import Request
from opclock.validation.session import InterleavedSession


@dataclass(frozen=True)
class Benchmark:
    """What ``opclock_bench`` measured.

    Attributes:
        name: of the test.
        reference: real inference.
        estimate: from op calls and host, sampled in turn with real inference.
        flags: what was unusual.
        slowdown: against the baseline; None where there is none.
    """

    name: str
    reference: Reference
    estimate: Estimate
    flags: tuple[Flag, ...]
    slowdown: Slowdown | None = None


@checked
def benchmark(
    model: torch.nn.Module, inputs: object, *, name: str, file: Path, threads: Count | None = None,
    max_s: Seconds | None = None, baseline: Baseline | None = None,
) -> Benchmark:  # fmt: skip
    """Time a model, and compare it with a baseline.

    Args:
        model: in eager mode, on the device of its inputs.
        inputs: a tuple of positional arguments, a mapping, both kinds as ``CallInputs``, or one argument.
        name: by which the baseline knows it.
        file: a new profile, which receives the measurement.
        threads: PyTorch's threads; the current setting if None.
        max_s: largest number of seconds of kernel rounds; see ``opclock.validate``.
        baseline: what to compare with.

    Returns:
        The measurement, and how it compares.

    Raises:
        OpclockError: the model cannot be traced, run or timed, or the baseline cannot be read.
    """
    threads = torch.get_num_threads() if threads is None else threads
    recorded = trace(model, inputs, name=name)
    check_calls(recorded)
    with Profile.create_or_open(file, read_board()) as profile:
        request = Request(Model(name, model, arguments_of(model, inputs)), recorded, profile, threads, 0, False, max_s)
        with thread_team(threads):
            session = InterleavedSession(request)
            session.run(silent, name)
            session.end()
        reference = session.reference()
        number = profile.model_pools(name)[0]
        profile.annotate_pool(number, {REFERENCE: Timed(reference.median_s, *reference.interval_s)._asdict()})
        now = estimate(recorded, profile, threads=threads, state=session.state)
        slowdown = None if baseline is None else baseline.slowdown(name, reference, profile.pool(number))
    contended: tuple[Flag, ...] = ("contended",) if reference.contended else ()
    imprecise = precision_flags(reference.median_s, *reference.interval_s)
    return Benchmark(name, reference, now, ordered([*contended, *session.flags, *now.flags, *imprecise]), slowdown)
