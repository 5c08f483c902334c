"""Times candidates block by block in turn, so that a temporary slowdown of the machine affects all of them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from opclock.benchmarking.candidate import Candidate
from opclock.benchmarking.conversion import convert_all
from opclock.benchmarking.options import SamplingOptions
from opclock.board.state import read_state, team_flags
from opclock.children.process import run_at_once
from opclock.progress import Progress, silent
from opclock.timing.flags import throttle_flags
from opclock.timing.interleaving import interleave


def run_session(
    candidates: Sequence[Candidate], sampling: SamplingOptions, *, at_once: int = 1, operators: bool = False,
    progress: Progress = silent, seed: int = 0,
) -> None:  # fmt: skip
    """Convert, load and check every candidate, then time those that work. Results go into their rows.

    Only one process runs at a time during sampling.

    Args:
        candidates: of one model, prepared at their batches.
        sampling: how long to sample each.
        at_once: how many are converted or loaded at the same time. Nothing is timed meanwhile.
        operators: whether to ask runtimes for operator times, after sampling.
        progress: receives a text and the fraction that is done.
        seed: for the random order of blocks, which changes in every pass.
    """
    convert_all(candidates, at_once=at_once, progress=progress)
    before = read_state()

    def load(candidate: Candidate) -> None:
        progress(f"{candidate.job.model}: loading {candidate.runtime.name}", 0.0)
        candidate.attempt(candidate.load)

    try:
        run_at_once(load, [candidate for candidate in candidates if candidate.alive], at_once)
        for candidate in candidates:
            candidate.attempt(candidate.warm_up, sampling)
        _sample(candidates, sampling, random.Random(seed), progress)
        throttled = throttle_flags(before, read_state())
        for candidate in candidates:
            candidate.attempt(candidate.finish, (*throttled, *team_flags(before.affinity, candidate.settings.threads)))
        if operators:
            for candidate in candidates:
                candidate.read_operators()
    finally:
        for candidate in candidates:
            candidate.close()


def _sample(
    candidates: Sequence[Candidate], sampling: SamplingOptions, order: random.Random, progress: Progress
) -> None:
    def report() -> None:
        share = sum(each.spent_s for each in candidates) / (sampling.duration_s * len(candidates))
        progress(f"{candidates[0].job.model}: timing", min(1.0, share))

    interleave(
        candidates,
        lambda candidate: candidate.attempt(candidate.block),
        enough=lambda each: not each.alive or sampling.enough(each.clean_runs, len(each.samples), each.spent_s),
        order=order,
        progress=report,
    )
