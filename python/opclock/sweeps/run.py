"""Kernel sweeps: families' parameter grids, timed in interleaved rounds into a profile."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from opclock.board.accelerator import has_lanes
from opclock.board.identity import read_board
from opclock.errors import OpCallError, SweepError, first_line
from opclock.estimation.ceilings import Ceilings
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.progress import Progress, silent
from opclock.sweeps.binding import Planned, as_trace, plan_all
from opclock.sweeps.configuration import grid
from opclock.sweeps.results import sweep_rows, sweep_table
from opclock.timing.ceiling_runs import measure_ceilings
from opclock.timing.host_playback import Host
from opclock.timing.host_standin import KindsHost
from opclock.timing.inputs import Arguments, Bound, find_operator
from opclock.timing.memory_budget import memory_budget_bytes
from opclock.timing.sampler import Sampling
from opclock.timing.threads import thread_team
from opclock.tracing.trace import Trace

POOL_CALLS = 64  # timed together at most: enough that none finds the caches as its last sample left them
KINDS = 4  # of kernels in a pool: models, too, call a few again and again, and find their code in the caches
POOL_BYTES = 1 << 27  # that a pool touches: as large as a large model, not larger
# Of pools that a predictor learns from: weights are as cold as the rest of a model makes them.
WORKING_SETS = (1 << 22, 1 << 24, 1 << 26)
SPREAD = 2.0  # doublings, a standard deviation: how far the sizes of kernels in a pool lie apart, about as in a model
FITTING = 4  # a kernel goes into a pool of at least so many times its own bytes
MIN_ROUNDS, MAX_ROUNDS, BLOCK_ROUNDS = 12, 24, 6
# For saying beforehand how long a sweep takes: as a sweep of 5,000 kernels on a two-core x86-64 machine had it.
WARM_UP_ROUNDS, USUAL_SHARE, MIN_S, BINDING_S = 8, 0.3, 1e-5, 0.006


@dataclass
class SweepSummary:
    """What one run of a sweep did."""

    timed: int = 0  # op calls timed now
    known: int = 0  # op calls the profile had already
    seconds: float = 0.0  # wall time of it all
    kernel_s: float = 0.0  # of that inside kernels and their warm-up: first runs, rounds, the writing of inputs
    skipped: Counter[str] = field(default_factory=Counter)  # by reason: kernels that do not run on this machine

    @property
    def kernel_share(self) -> float:
        """The fraction of the wall time that was spent inside rounds."""
        return self.kernel_s / self.seconds if self.seconds > 0 else 0.0


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
    """Time a family's kernels over every combination of the parameters' values.

    Args:
        family: a name of ``opclock.sweeps.FAMILIES``: conv2d, gemm, elementwise, norm, concat, copy, pool, resize, ...
        device: where they run: "cpu", "cuda:0". On a device beside the host it is the device's own time.
        threads: of PyTorch, one or several; as they are set now if None.
        profile: where every finished round is kept; what it has already is not timed again. A temporary one if None.
        seed: of the random order of configurations and rounds.
        progress: told what is done and how far it is.
        parameters: by name one value or any iterable of them but a tuple: a tuple is one size by dimension.

    Returns:
        One row a configuration and number of threads, see ``sweep_table``.

    Raises:
        SweepError: an unknown family or parameter, or no legal combination at all.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread.
    """
    configurations, _ = grid(family, parameters)
    planned, refused = plan_all(configurations, device)
    if not planned:
        raise SweepError(f"PyTorch accepts no combination of {family}'s parameters: {_most_common(refused)}")
    counts = [torch.get_num_threads()] if threads is None else [threads] if isinstance(threads, int) else list(threads)
    with tempfile.TemporaryDirectory() as folder:
        kept = profile or Path(folder) / "sweep.sqlite"
        opened = kept if isinstance(kept, Profile) else Profile.create_or_open(Path(kept), read_board())
        try:
            for count in counts:
                run_sweep(planned, opened, threads=count, device=device, seed=seed, progress=progress)
            timed = [one.configuration for one in planned]
            return sweep_table(sweep_rows(opened, threads=counts, configurations=timed, device=device))
        finally:
            if opened is not profile:
                opened.close()


def run_sweep(
    planned: Sequence[Planned], profile: Profile, *, threads: int, device: str = "cpu", seed: int = 0,
    as_in_models: bool = False, progress: Progress = silent,
) -> SweepSummary:  # fmt: skip
    """Time those kernels that the profile lacks, in pools of random composition.

    Args:
        planned: what to time.
        profile: where every finished round is kept.
        threads: of PyTorch.
        device: where they were planned for.
        seed: of every random order.
        as_in_models: what a predictor needs: pools of several working sets, each kernel at random in one that is much
            larger than itself, and the host's work of common kinds of calls between the kernels.
        progress: told what is done and how far it is.

    Raises:
        SweepError: none of them runs on this machine.
        ProfileError: the profile cannot be written.
        OptionError: fewer than one thread.
    """
    done = SweepSummary()
    start = time.perf_counter()
    with thread_team(threads):
        if not has_lanes(device):
            measure_ceilings(profile, threads, progress)
        lacking = _lacking(planned, profile, threads, device)
        done.known = len(planned) - len(lacking)
        begin = time.perf_counter()
        tried = 0
        host = KindsHost() if as_in_models else None
        most = memory_budget_bytes(device)
        for chunk in _chunks(lacking, WORKING_SETS if as_in_models else (POOL_BYTES,), random.Random(seed), most):
            spent_s = time.perf_counter() - begin
            left = f", {words((len(lacking) - tried) / tried * spent_s)} left" if tried else ""
            progress(f"sweep, {threads} threads: {tried} of {len(lacking)} kernels{left}", tried / len(lacking))
            _time_pool(chunk, profile, device, threads, host, seed, done)
            tried += len(chunk)
        progress(f"sweep, {threads} threads: {len(lacking)} kernels", 1.0)
    done.seconds = time.perf_counter() - start
    if not done.timed and not done.known:
        raise SweepError(f"no kernel can be timed: {_most_common(done.skipped)}")
    return done


def _most_common(skipped: Mapping[str, int]) -> str:
    return max(skipped, key=skipped.__getitem__) if skipped else "there is none"


def _lacking(planned: Sequence[Planned], profile: Profile, threads: int, device: str) -> list[Planned]:
    found = profile.pool_matches("interleaved", device, threads, [one.call.key for one in planned])
    known = {one.key for one in found if one.ended}
    named = [one for one in planned if one.call.key in known]
    profile.name_configurations(_names(named))
    return [one for one in planned if one.call.key not in known]


def _names(planned: Iterable[Planned]) -> list[tuple[str, str, str]]:
    return [(one.configuration.family, one.configuration.parameters_text, one.call.key) for one in planned]


def _chunks(
    planned: Sequence[Planned], working_sets: Sequence[int], random_: random.Random, most: int
) -> Iterator[list[Planned]]:  # fmt: skip
    """Pools in random order, of kernels of like size.

    A small kernel among large ones finds its code, its data and the host's displaced, as it does in few models.
    """
    by_size: dict[int, list[Planned]] = {}
    for one in random_.sample(planned, len(planned)):
        fitting = [size for size in working_sets if one.nbytes * FITTING <= size]
        by_size.setdefault(random_.choice(fitting) if fitting else max(working_sets), []).append(one)
    for members in by_size.values():
        members.sort(key=lambda one: math.log2(1 + one.nbytes) + random_.gauss(0.0, SPREAD))
    chunks = [chunk for size, members in by_size.items() for chunk in _cut(members, min(size, most))]
    yield from random_.sample(chunks, len(chunks))


def _cut(members: Sequence[Planned], most: int) -> Iterator[list[Planned]]:
    """Pools of few kinds, each as full as calls and bytes allow."""
    rest = list(members)
    while rest:
        kinds = list(dict.fromkeys(_kind(one) for one in rest))[:KINDS]
        chunk: list[Planned] = []
        left: list[Planned] = []
        weights = activations = 0
        for one in rest:
            own = one.weight_bytes
            other = max(activations, one.nbytes - own)
            fits = len(chunk) < POOL_CALLS and weights + own + other <= most
            if _kind(one) in kinds and (fits or not chunk):
                chunk.append(one)
                weights, activations = weights + own, other
            else:
                left.append(one)
        yield chunk
        rest = left


def _kind(one: Planned) -> tuple[str, object]:
    return one.configuration.family, dict(one.configuration.parameters).get("operator")


def touched_bytes(planned: Sequence[Planned]) -> int:
    """Bytes that one round of a pool touches: every weight, and the activations of the largest call."""
    weights = sum(one.weight_bytes for one in planned)
    return weights + max(one.nbytes - one.weight_bytes for one in planned)


def _time_pool(
    chunk: Sequence[Planned], profile: Profile, device: str, threads: int, host: Host | None, seed: int,
    done: SweepSummary,
) -> None:  # fmt: skip
    trace = as_trace(chunk)
    arguments = Arguments(trace, one_block=True)
    positions = [position for position in range(len(chunk)) if _runs(trace, position, arguments, done)]
    if not positions:
        return
    condition = Condition.of("interleaved", device, threads, touched_bytes(chunk))
    sampling = Sampling(trace, positions, arguments, profile, condition, host, seed=seed)
    sampling.warm_up()
    profile.name_configurations(_names([chunk[position] for position in positions]))
    while sampling.rounds < MIN_ROUNDS or not (sampling.settled or sampling.rounds >= MAX_ROUNDS):
        sampling.block(BLOCK_ROUNDS)
    sampling.end()
    done.timed += len(positions)
    done.kernel_s += sampling.seconds


def _runs(trace: Trace, position: int, arguments: Arguments, done: SweepSummary) -> bool:
    """Whether the kernel runs on real data; where it does not, the reason is counted."""
    call = trace.calls[position].call
    try:
        bound: Bound = arguments.bind(trace.calls[position])
        with torch.inference_mode():
            start = time.perf_counter()
            find_operator(call)(*bound.args, **bound.kwargs)
            done.kernel_s += time.perf_counter() - start
    except (RuntimeError, NotImplementedError, IndexError, OpCallError) as error:
        done.skipped[f"{call.name}: {first_line(error)}"] += 1
        return False
    return True


def expected_s(planned: Iterable[Planned], ceilings: Ceilings) -> float:
    """About how long a sweep will take, before any of it was timed."""
    rounds = MAX_ROUNDS + WARM_UP_ROUNDS
    return sum(rounds * (ceilings.call_s(one.traced) / USUAL_SHARE + MIN_S) + BINDING_S for one in planned)


def words(seconds: float) -> str:
    """A duration as people say it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
