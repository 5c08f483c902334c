"""Profiles of a million measurements: how fast they are written, opened, estimated from, and how much memory it takes.

    python -m benchmarks.scale [--measurements 1000000] [--profile-calls]

Every pool is a sweep's: 64 op calls, 12 rounds. A model of 400 calls is measured among them, at the very beginning.
Another one is never measured: what its kernels take was learnt from the sweeps, once.
"""

from __future__ import annotations

import argparse
import cProfile
import math
import pstats
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from opclock.board.identity import Board
from opclock.estimation.estimate import estimate
from opclock.estimation.host_costs import host_kinds
from opclock.estimation.host_keys import host_key
from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES
from opclock.profiles.condition import Condition
from opclock.profiles.maintenance import info, prune
from opclock.profiles.profile import Profile
from opclock.tracing.op_call import OpCall, TensorSpec
from opclock.tracing.trace import Storage, Trace, TracedCall

BOARD = Board("x86_64", "benchmark", (), 2, (), 1 << 30, "", "", "2.13.0", "0", "")
POOL, ROUNDS, CALLS, DISTINCT, THREADS = 64, 12, 400, 100, 2
# Writing waits for the disk three times a pool; the limit is for a disk that answers within 10 ms.
MIN_ROWS_PER_S, MAX_ESTIMATE_S, MAX_UNMEASURED_S, MAX_OPEN_S, MAX_BYTES = 1_500, 0.2, 0.1, 0.05, 500e6
UNMEASURED = 3_000_000  # the number of a call that no sweep holds


def tensor(*shape: int, weight: bool = False) -> TensorSpec:
    """A row-major tensor."""
    strides = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    return TensorSpec(shape, tuple(strides), "float32", requires_grad=weight)


def call(number: int) -> TracedCall:
    """An op call like no other, of one of four kinds."""
    kind, rest = number % 4, number // 4
    one, two, three = 8 + rest % 97, 8 + rest // 97 % 101, 7 + rest // (97 * 101)
    image, out = tensor(1, one, three, two), tensor(1, two, three, three)
    if kind == 0:
        name, args, out = "relu", (image,), image
    elif kind == 1:
        name, args, out = "linear", (tensor(three, one), tensor(two, one, weight=True)), tensor(three, two)
    elif kind == 2:
        name, args = "conv2d", (tensor(1, one, three, three), tensor(two, one, 3, 3, weight=True), None, (1, 1), (1, 1))
    else:
        name, args, out = "add", (image, image), image
    return TracedCall(OpCall(f"aten::{name}", "", args), (out,), (0,) * 2, (0,), f"layer{number}", name.title())


def model(first: int = 0) -> Trace:
    """Every distinct call several times; the calls from this number on."""
    calls = tuple(call(first + number % DISTINCT) for number in range(CALLS))
    return Trace("model", (), 0, CALLS, (Storage("activation", 1 << 20, CALLS),), calls)


def store(profile: Profile, condition: Condition, calls: Sequence[TracedCall], traced: Trace | None = None) -> float:
    """Write a pool of random numbers, with the host of a trace; returns the seconds that writing took."""
    noise = np.random.default_rng(len(calls))
    keys = [each.call.key for each in calls]
    host = None if traced is None else (host_key(traced), host_kinds(traced))
    kinds = None if host is None else noise.random((ROUNDS, len(host[1]))) * 1e-6
    start = time.perf_counter()
    number = profile.start_pool(condition, keys, [1] * len(keys), signature=keys[0], calls=list(calls), host=host)
    profile.add_rounds(number, noise.random((ROUNDS, len(keys))) * 1e-4, noise.random(ROUNDS), kinds)
    profile.end_pool(number, "settled", ["narrow"] * len(keys), {})
    return time.perf_counter() - start


def store_model(profile: Profile, traced: Trace) -> None:
    """Write a model's own pool."""
    store(profile, Condition.of("in_model", "cpu", THREADS, traced.working_set), traced.calls, traced)


def fill(profile: Profile, measurements: int) -> float:
    """Write the model's pool and then sweeps; returns measurements a second, without the making of the calls."""
    spent_s = 0.0
    store_model(profile, model())
    for name in DTYPES:
        profile.add_ceiling(f"multiply_adds_{name}", 0, THREADS, 1e11)
    for name in PATTERNS:
        for size in SIZES:
            profile.add_ceiling(f"{name}_bytes_per_s", size, THREADS, 1e10)
    for first in range(0, measurements, POOL):
        calls = [call(DISTINCT + number) for number in range(first, min(first + POOL, measurements))]
        spent_s += store(profile, Condition("interleaved", "cpu", THREADS, 20 + first // POOL % 7), calls)
    return measurements / spent_s


def seconds_of(work: object, times: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of calling it."""
    taken = []
    for _ in range(times):
        start = clock()
        work()  # type: ignore[operator]
        taken.append(clock() - start)
    return statistics.median(taken)


def estimate_anew(path: Path) -> None:
    """Open a profile and estimate a model of which it has no op call. The profile keeps what is learnt."""
    with Profile.open(path) as profile:
        estimate(model(UNMEASURED), profile, threads=THREADS)


def main() -> int:
    """Fill, look, and say whether each limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measurements", type=int, default=1_000_000)
    parser.add_argument("--profile-calls", action="store_true", help="show where the time of an estimate goes")
    chosen = parser.parse_args()
    count = chosen.measurements
    traced, kept = model(), True

    def say(name: str, value: float, unit: str, limit: float, above: bool = False) -> None:
        nonlocal kept
        good = value >= limit if above else value <= limit
        kept &= good
        print(f"{name:34} {value:12,.4g} {unit:8} {'at least' if above else 'at most'} {limit:,.4g}"
              f"{'' if good else '   MISSED'}", flush=True)  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        for size in (count // 100, count):
            path = Path(folder) / f"{size}.sqlite"
            with Profile.create_or_open(path, BOARD) as profile:
                rate = fill(profile, size)
            print(f"{size:,} measurements, {path.stat().st_size / 1e6:,.0f} MB")
            say("writing", rate, "rows/s", MIN_ROWS_PER_S, above=True)
            say("opening", seconds_of(lambda path=path: Profile.open(path).close(), 9), "s", MAX_OPEN_S)
            with Profile.open(path) as profile:
                estimate_s = seconds_of(lambda p=profile: estimate(traced, p, threads=THREADS), 9)
                say(f"estimating {CALLS} calls", estimate_s, "s", MAX_ESTIMATE_S)
            start = time.perf_counter()
            estimate_anew(path)
            print(f"learning, once  {time.perf_counter() - start:.1f} s, {path.stat().st_size / 1e6:,.0f} MB")
            unmeasured_s = seconds_of(lambda p=path: estimate_anew(p), 9, time.process_time)
            say(f"estimating {CALLS} unmeasured calls", unmeasured_s, "s CPU", MAX_UNMEASURED_S)
            if chosen.profile_calls:
                with cProfile.Profile() as calls:
                    estimate_anew(path)
                pstats.Stats(calls).sort_stats("cumulative").print_stats(40)
        say("most memory of this process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0, "bytes",
            MAX_BYTES)  # fmt: skip
        start = time.perf_counter()
        with Profile.edit(path) as profile:
            print(f"info {info(profile).measurements:,}", f"{time.perf_counter() - start:.2f} s")
            start = time.perf_counter()
            print(f"prune: {prune(profile)} pools", f"{time.perf_counter() - start:.2f} s")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
