"""Runs kernel sweeps: times parameter grids of families in interleaved rounds, into a profile."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch

from opclock.argument_checks import checked
from opclock.board.accelerator import checked_device, has_lanes
from opclock.board.identity import read_board
from opclock.errors import EstimateError, OptionError, SweepError
from opclock.estimation.host_law import HostLaw
from opclock.formatting import counted
from opclock.prediction.predictor import Predictor
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.sweeps.advance import Advance
from opclock.sweeps.amount import FOR_PREDICTORS, FOR_ROWS, Amount
from opclock.sweeps.binding import Planned, as_trace, plan_all, run_once
from opclock.sweeps.configuration import grid
from opclock.sweeps.families import IllegalError
from opclock.sweeps.grouping import grouped, touched_bytes, windows, working_sets
from opclock.sweeps.network_times import Networks
from opclock.sweeps.parts import Part, left_of
from opclock.sweeps.results import sweep_rows, sweep_table
from opclock.temporary import temporary_folder
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.timing.host_playback import Host
from opclock.timing.host_standin import KindsHost
from opclock.timing.inputs import Arguments
from opclock.timing.interleaving import interleave
from opclock.timing.memory_budget import memory_budget_bytes
from opclock.timing.sampler import Sampler
from opclock.timing.threads import thread_team
from opclock.tracing.trace import Trace

BINDING_SHARE = 0.5  # of the time of a pool, for the display: binding and warm-up take about as long as the rounds
MOST = 3  # times the planned rounds are taken at most, where other programs disturb some of them


@dataclass
class SweepSummary:
    """What one run of a sweep did."""

    timed: int = 0  # op calls of the sweep timed now
    networks: int = 0  # random networks timed now
    known: int = 0  # op calls that the profile had already
    seconds: float = 0.0  # wall time of the sweep
    kernel_s: float = 0.0  # the part of it in first runs, warm-up and rounds, including the writing of inputs
    skipped: Counter[str] = field(default_factory=Counter)  # by reason: kernels that do not run on this machine

    @property
    def kernel_share(self) -> float:
        """The fraction of the wall time that was spent in kernels and their warm-up."""
        return self.kernel_s / self.seconds if self.seconds > 0 else 0.0


@checked
def sweep(
    family: str,
    *,
    device: str = "cpu",
    threads: int | Iterable[int] | None = None,
    profile: Profile | str | Path | None = None,
    seed: int = 0,
    progress: Progress = silent,
    **parameters: Any,  # noqa: ANN401
) -> pd.DataFrame:
    """Time the kernels of a family for all combinations of the parameters' values.

    Args:
        family: a name of ``opclock.sweeps.FAMILIES``: conv2d, gemm, elementwise, norm, concat, copy, pool, resize, ...
        device: where kernels run: "cpu", "cuda:0". On a device beside the host, the device's time is measured.
        threads: PyTorch's threads, one number or several; the current setting if None.
        profile: stores every finished round, and kernels that it has are not timed again. A temporary one if None.
        seed: for the random order of configurations and rounds.
        progress: receives a text and the fraction that is done.
        parameters: by name, one value or several (any iterable except a tuple, which is one size with a number for
            each dimension).

    Returns:
        One row for each configuration and number of threads, see ``sweep_table``.

    Raises:
        SweepError: an unknown family or parameter, or no legal combination.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread, or a device that this PyTorch cannot use.
    """
    device = checked_device(device)
    planned, refused = plan_all(grid(family, parameters)[0], device)
    if not planned:
        raise SweepError(f"PyTorch accepts no combination of {family}'s parameters: {_most_common(refused)}")
    counts = [torch.get_num_threads()] if threads is None else [threads] if isinstance(threads, int) else list(threads)
    if not counts:
        raise OptionError("threads holds no number: give at least one")
    with opened_profile(profile) as opened:
        for count in counts:
            run_sweep(planned, opened, threads=count, device=device, seed=seed, progress=progress)
        timed = [one.configuration for one in planned]
        return sweep_table(sweep_rows(opened, threads=counts, configurations=timed, device=device))


@contextmanager
def opened_profile(profile: Profile | str | Path | None) -> Iterator[Profile]:
    """The profile, open for writing: the given one, one at a path, or a temporary one."""
    if isinstance(profile, Profile):
        yield profile
        return
    with temporary_folder() as folder:
        path = folder / "sweep.sqlite" if profile is None else Path(profile)
        with Profile.create_or_open(path, read_board()) as opened:
            yield opened


class Manner(NamedTuple):
    """How pools are timed."""

    amount: Amount  # how much each is sampled
    host: Host | None  # what runs between kernels; nothing if None


def run_sweep(
    planned: Sequence[Planned], profile: Profile, *, threads: int, device: str = "cpu", seed: int = 0,
    as_in_models: bool = False, networks: int = 0, part: Part | None = None, progress: Progress = silent,
) -> SweepSummary:  # fmt: skip
    """Time the kernels that the profile lacks, in random pools.

    Args:
        planned: the kernels.
        profile: stores every finished round.
        threads: PyTorch's threads.
        device: the device for which they were planned.
        seed: for every random order.
        as_in_models: time as predictors need it: pools have several working sets, each kernel is in a pool much larger
            than itself, and host work of common kinds of calls runs between kernels.
        networks: how many random networks are timed between the pools; predictors learn from them, too.
        part: of the pools, that are timed here; all if None.
        progress: receives a text and the fraction that is done.

    Returns:
        What was timed.

    Raises:
        SweepError: none of the kernels runs on this machine.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread.
    """
    start = time.perf_counter()
    with thread_team(threads):
        if not has_lanes(device):
            measure_ceilings(profile, threads, progress)
        parts = None if part is None else part.pools(planned, seed, as_in_models=as_in_models)
        planned = planned if parts is None else [one for pool in parts for one in pool]
        missing = _missing(planned, profile, threads, device)
        left = _pools(missing, device, seed, as_in_models) if parts is None else left_of(parts, missing)
        manner = Manner(FOR_PREDICTORS, KindsHost()) if as_in_models else Manner(FOR_ROWS, None)
        count = 0 if has_lanes(device) else networks
        with Networks(count, profile, threads, seed, part) as drawn:
            summary = time_pools(left, profile, manner, count=len(missing), threads=threads, device=device, seed=seed,
                                 progress=progress, networks=drawn)  # fmt: skip
    summary.known = len(planned) - len(missing)
    summary.seconds = time.perf_counter() - start
    if not summary.timed and not summary.known and not summary.networks:
        raise SweepError(f"no kernel can be timed: {_most_common(summary.skipped)}")
    if as_in_models and part is None and not has_lanes(device):
        learn(profile, threads, device, progress)
    return summary


def time_pools(
    pools: Iterable[list[Planned]], profile: Profile, manner: Manner, *, count: int, threads: int, device: str = "cpu",
    seed: int = 0, progress: Progress = silent, networks: Networks | None = None,
) -> SweepSummary:  # fmt: skip
    """Time pools with so many kernels together, with the threads that are set already, and networks between them.

    Args, Raises: see ``run_sweep``.
    """
    summary, advance = SweepSummary(), Advance(progress, threads, count, networks, time.perf_counter())
    for window in windows(pools, memory_budget_bytes(device)):
        advance.begin_window(sum(map(len, window)))
        summary.kernel_s += _time_window(
            window,
            manner.amount,
            lambda pool: _bound(pool, profile, device, threads, manner.host, seed, summary),
            advance,
        )
        if networks is not None:
            networks.until(advance.tried / count, advance)
    if networks is not None:
        networks.until(1.0, advance)
        summary.networks = networks.timed
        summary.skipped += networks.skipped
    progress(f"sweep, {counted(threads, 'thread')}: {counted(count, 'kernel')}", 1.0)
    return summary


def learn(profile: Profile, threads: int, device: str, progress: Progress) -> None:
    """Learn from the sweep now, so that no estimate has to wait for it. The profile keeps what is learnt."""
    progress("learning from the sweep", 1.0)
    with suppress(EstimateError):  # other programs disturbed every pool: there is nothing to learn from
        Predictor.read(profile, threads, device)
        HostLaw.read(profile, device, threads)


def _most_common(skipped: Mapping[str, int]) -> str:
    return max(skipped, key=skipped.__getitem__) if skipped else "there is none"


def _missing(planned: Sequence[Planned], profile: Profile, threads: int, device: str) -> list[Planned]:
    """The kernels that the profile lacks. For the others, their configurations are stored in it."""
    matches = profile.pool_matches("interleaved", device, threads, [one.call.key for one in planned])
    known = {match.key for match in matches if match.ended}
    profile.name_configurations(_names(one for one in planned if one.call.key in known))
    return [one for one in planned if one.call.key not in known]


def _names(planned: Iterable[Planned]) -> list[tuple[str, str, str]]:
    return [(one.configuration.family, one.configuration.parameters_text, one.call.key) for one in planned]


def _pools(planned: Sequence[Planned], device: str, seed: int, as_in_models: bool) -> Iterator[list[Planned]]:
    return grouped(planned, working_sets(as_in_models), random.Random(seed), memory_budget_bytes(device))


def _time_window(
    pools: Sequence[list[Planned]], amount: Amount, bound: Callable[[list[Planned]], list[Sampler]],
    advance: Callable[[float], None],
) -> float:  # fmt: skip
    """Time pools in turn, this amount of each; ``advance`` takes the fraction that is done.

    Returns the seconds in first runs, warm-up and rounds.
    """
    samplers: list[Sampler] = []
    for number, pool in enumerate(pools):
        advance(BINDING_SHARE * number / len(pools))
        samplers += bound(pool)

    in_block = {sampler: amount.in_block(sampler.usual_round_s()) for sampler in samplers}
    planned = {sampler: amount.blocks * rounds for sampler, rounds in in_block.items()}

    def done_of(sampler: Sampler) -> float:
        return min(1.0, max(sampler.clean_rounds, sampler.rounds / MOST) / planned[sampler])

    def enough(sampler: Sampler) -> bool:
        return done_of(sampler) >= 1.0

    def report() -> None:
        done = sum(map(done_of, samplers)) / len(samplers)
        advance(BINDING_SHARE + (1 - BINDING_SHARE) * done)

    interleave(samplers, lambda sampler: sampler.block(in_block[sampler]), enough=enough, progress=report)
    for sampler in samplers:
        sampler.end()
    return sum(sampler.seconds for sampler in samplers)


def _bound(
    kernels: Sequence[Planned], profile: Profile, device: str, threads: int, host: Host | None, seed: int,
    summary: SweepSummary,
) -> list[Sampler]:  # fmt: skip
    """A warmed-up sampler of those kernels of a pool that run on this machine, which the summary counts; or none."""
    trace = as_trace(kernels)
    arguments = Arguments(trace, one_block=True)
    positions = [position for position in range(len(kernels)) if _runs(trace, position, arguments, summary)]
    if not positions:
        return []
    condition = Condition.of("interleaved", device, threads, touched_bytes(kernels))
    sampler = Sampler(trace, positions, arguments, profile, condition, host, seed=seed)
    sampler.warm_up()
    profile.name_configurations(_names([kernels[position] for position in positions]))
    summary.timed += len(positions)
    return [sampler]


def _runs(trace: Trace, position: int, arguments: Arguments, summary: SweepSummary) -> bool:
    """Whether the kernel runs on real data. Where it does not, count the reason in the summary."""
    try:
        summary.kernel_s += run_once(trace.calls[position], arguments)
    except IllegalError as error:
        summary.skipped[str(error)] += 1
        return False
    return True
