"""How many candidates `opclock rank` estimates a second, and whether real inference orders them alike.

    python -m benchmarks.ranking [--candidates 10000] [--modules 60] [--jobs 2] [--profile board.sqlite] [--run 0]

The candidates are networks like MobileNet, of several widths, depths and sizes. Their traces are written first;
then they are ranked from the traces, and some of them from modules. With --run N, so many of them really run: the rank
correlation and the error are printed. Without --profile, the profile holds a sweep whose times are made up.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.scale import BOARD, THREADS
from opclock.estimation.ceilings import DTYPES, PATTERNS, SIZES, Ceilings
from opclock.estimation.host_costs import host_key, host_kinds
from opclock.estimation.predictor import Predictor
from opclock.models.loading import load_made
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.ranking.candidates import Specification
from opclock.ranking.grid import name_of
from opclock.ranking.rows import Row
from opclock.ranking.run import rank
from opclock.sweeps.binding import as_trace
from opclock.sweeps.grouping import grouped
from opclock.sweeps.presets import preset
from opclock.tracing.recorder import trace

MIN_TRACES_A_SECOND, MIN_MODULES_A_SECOND = 50, 3  # on each core
VALUES: dict[str, tuple[Any, ...]] = {
    "width": tuple(range(8, 48, 2)), "depth": (1, 2, 3, 4), "expansion": (2, 3, 4, 6), "kernel": (3, 5, 7),
    "size": (96, 128, 160, 192, 224, 256), "squeeze": (False, True),
}  # fmt: skip


class Block(nn.Module):
    """An inverted residual (Sandler et al. 2018), perhaps with squeeze and excitation."""

    def __init__(self, inner: int, outer: int, stride: int, expansion: int, kernel: int, squeeze: bool) -> None:
        super().__init__()
        wide = inner * expansion
        self.expand = nn.Sequential(nn.Conv2d(inner, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False),
                                       nn.BatchNorm2d(wide), nn.ReLU6())  # fmt: skip
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, max(8, wide // 4), 1), nn.ReLU(),
                                  nn.Conv2d(max(8, wide // 4), wide, 1), nn.Sigmoid()) if squeeze else None  # fmt: skip
        self.project = nn.Sequential(nn.Conv2d(wide, outer, 1, bias=False), nn.BatchNorm2d(outer))
        self.same = inner == outer and stride == 1

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        wide = self.depthwise(self.expand(image))
        out: torch.Tensor = self.project(wide if self.gate is None else wide * self.gate(wide))
        return image + out if self.same else out


def network(
    width: int, depth: int, expansion: int, kernel: int, size: int, squeeze: bool
) -> tuple[nn.Module, torch.Tensor]:
    """A network and its input."""
    parts: list[nn.Module] = [nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
    inner = width
    for stage in range(4):
        for position in range(depth):
            outer = width * (stage + 1)
            parts.append(Block(inner, outer, 2 if position == 0 else 1, expansion, kernel, squeeze))
            inner = outer
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inner, 100)), torch.ones(
        1, 3, size, size
    )


def combinations() -> list[dict[str, Any]]:
    """All of them in a random order that is the same each time."""
    every = [dict(zip(VALUES, values, strict=True)) for values in itertools.product(*VALUES.values())]
    random.Random(0).shuffle(every)
    return every


def networks() -> Iterator[tuple[str, Any]]:
    """The generator that the command line takes."""
    for arguments in combinations():
        yield name_of(arguments), lambda chosen=arguments: network(**chosen)


def write_traces(folder: Path, count: int) -> None:
    """So many traces."""
    for name, factory in itertools.islice(networks(), count):
        model = load_made(name, factory)
        trace(model.module, model.inputs, name=name, real=False).save(folder / f"{name}.json")


def made_up(path: Path) -> None:
    """A profile with the kernels of the preset "board", each at a third of what the ceilings allow, and one host."""
    noise = np.random.default_rng(0)
    with Profile.create_or_open(path, BOARD) as profile:
        for name in DTYPES:
            profile.add_ceiling(f"multiply_adds_{name}", 0, THREADS, 1e11)
        for name, size in itertools.product(PATTERNS, SIZES):
            profile.add_ceiling(f"{name}_bytes_per_s", size, THREADS, 2e10)
        ceilings = Ceilings.read(profile, THREADS)
        planned, _ = preset("board")
        for number, kernels in enumerate(grouped(planned, (1 << 24,), random.Random(0), 1 << 33)):
            calls = as_trace(kernels).calls
            keys = [call.call.key for call in calls]
            seconds = np.array([3 * ceilings.call_s(call) + 2e-6 for call in calls])
            pool = profile.start_pool(Condition("interleaved", "cpu", THREADS, 24), keys, [1] * len(keys),
                                      signature=str(number), calls=calls)  # fmt: skip
            profile.add_rounds(pool, seconds * noise.lognormal(0, 0.1, (12, len(keys))), np.ones(12), None)
            profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})
        model = load_made("host", lambda: network(**combinations()[0]))
        recorded = trace(model.module, model.inputs, real=False)
        keys = [call.call.key for call in recorded.calls]
        pool = profile.start_pool(Condition.of("in_model", "cpu", THREADS, recorded.working_set), keys, [1] * len(keys),
                                  signature="host", host=(host_key(recorded), host_kinds(recorded)))  # fmt: skip
        profile.add_rounds(pool, np.full((50, len(keys)), 1e-5), np.ones(50), np.full((50, len(keys) + 1), 3e-6))
        profile.end_pool(pool, "settled", ["narrow"] * len(keys), {})
        Predictor.read(profile, THREADS)


def timed(name: str, specification: Specification, profile: Profile, jobs: int, least: float) -> tuple[list[Row], bool]:
    """Rank, and say how fast that was on each core."""
    start = time.perf_counter()
    rows = rank(specification, profile, jobs=jobs)
    rate = len(rows) / (time.perf_counter() - start) / jobs
    failed = [row for row in rows if row.error]
    print(f"{len(rows):,} candidates from {name}: {rate:.1f} a second a core, at least {least}; {len(failed)} failed"
          f"{'' if rate >= least else '   MISSED'}", flush=True)  # fmt: skip
    return rows, rate >= least


def really_run(rows: list[Row], count: int) -> None:
    """Run some of the candidates, and compare."""
    from scipy.stats import spearmanr

    by_name = {row.candidate: row.total_s for row in rows}
    torch.set_num_threads(THREADS)
    pairs = []
    for name, factory in itertools.islice(networks(), count):
        model = load_made(name, factory)
        seconds = []
        with torch.inference_mode():
            for _ in range(30):
                start = time.perf_counter()
                model.module(*model.inputs)
                seconds.append(time.perf_counter() - start)
        pairs.append((by_name[name], float(np.median(seconds[5:]))))
    estimated, real = np.array(pairs).T
    print(f"{count} really run: rank correlation {spearmanr(estimated, real).statistic:.3f}, mean error "
          f"{np.abs(estimated / real - 1).mean():.1%}")  # fmt: skip


def main() -> int:
    """Write, rank, and say whether each limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--modules", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--run", type=int, default=0, help="so many candidates really run")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), chosen.profile or Path(name) / "board.sqlite"
        if chosen.profile is None:
            made_up(path)
        (folder / "traces").mkdir()
        write_traces(folder / "traces", chosen.candidates)
        modules = folder / "modules.py"
        root = str(Path(__file__).resolve().parents[1])
        modules.write_text(f"import sys\nfrom itertools import islice\nsys.path.append({root!r})\n"
                           "from benchmarks.ranking import networks\n\n\n"
                           f"def some():\n    return islice(networks(), {chosen.modules})\n")  # fmt: skip
        with Profile.open(path) as profile:
            rows, first = timed("traces", Specification(str(folder / "traces")), profile, chosen.jobs,
                                MIN_TRACES_A_SECOND)  # fmt: skip
            _, second = timed("modules", Specification(f"{modules}:some"), profile, chosen.jobs, MIN_MODULES_A_SECOND)
    if chosen.run:
        really_run(rows, chosen.run)
    return 0 if first and second else 1


if __name__ == "__main__":
    sys.exit(main())
