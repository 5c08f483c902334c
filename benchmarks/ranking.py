"""How many candidates `opclock rank` estimates a second, and whether real inference orders them alike.

    python -m benchmarks.ranking [--candidates 10000] [--traces 500] [--jobs 2] [--run 100] [--profile FILE]

The candidates are networks like MobileNet, of several widths, depths, expansions, kernels and sizes. They are ranked
from modules, as a user has them; some of them also from traces. With --run N, so many of them really run, in fresh
processes that take turns with the sweep (what the profile lacks of the preset "board"); then the rank correlation and
the error are printed. With --profile and --runs FOLDER this may take place in pieces (--seconds 240), at quiet times
and with few candidates; the same command with all of them then ranks at any other time, and goes on with --keep FILE.
Without --run and --profile, the profile holds a sweep whose times are made up.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from benchmarks.accuracy.cases import Case
from benchmarks.predictor.kept import Kept, Piece
from benchmarks.predictor.session import OutOfTimeError, Subject, sweep_and_run
from benchmarks.scale import BOARD, THREADS
from opclock.board.identity import read_board
from opclock.cli.reporting import progress_display
from opclock.estimation.baselines import mac_regression
from opclock.estimation.host_costs import host_kinds
from opclock.estimation.host_keys import host_key
from opclock.models.loading import load_made
from opclock.prediction.ceilings import DTYPES, PATTERNS, SIZES, Ceilings
from opclock.prediction.predictor import Predictor
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile
from opclock.ranking.candidates import Specification
from opclock.ranking.grid import name_of
from opclock.ranking.rows import Row
from opclock.ranking.run import rank
from opclock.sweeps.binding import as_trace
from opclock.sweeps.grouping import grouped
from opclock.sweeps.presets import USUAL_MINUTES, preset
from opclock.tracing.recorder import trace

PASSES = 2  # each candidate that runs does so in so many processes
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


def write_modules(folder: Path, count: int, run: int) -> tuple[Specification, list[Case]]:
    """A file with a generator of so many candidates, and a factory for each of those that run."""
    file = folder / "modules.py"
    root = str(Path(__file__).resolve().parents[1])
    lines = ["import sys", "from itertools import islice", f"sys.path.append({root!r})",
             "from benchmarks.ranking import combinations, network, networks",
             f"def some():\n    return islice(networks(), {count})"]  # fmt: skip
    lines += [f"def run{number}():\n    return network(**combinations()[{number}])" for number in range(run)]
    file.write_text("\n\n\n".join(lines) + "\n")
    names = [name for name, _ in itertools.islice(networks(), run)]
    return Specification(f"{file}:some"), [Case(name, f"{file}:run{i}") for i, name in enumerate(names)]


def timed(
    name: str, specification: Specification, profile: Profile, jobs: int, least: float, keep: Path | None = None
) -> tuple[list[Row], bool]:
    """Rank, and say how fast that was on each core."""
    start = time.perf_counter()
    with progress_display() as progress:
        rows = rank(specification, profile, jobs=jobs, keep=keep, progress=progress)
    seconds = time.perf_counter() - start
    rate = len(rows) / seconds / jobs
    failed = [row for row in rows if row.error]
    print(f"{len(rows):,} candidates from {name} in {seconds:.0f} s: {rate:.1f} a second a core, at least {least}; "
          f"{len(failed)} failed{'' if rate >= least else '   MISSED'}", flush=True)  # fmt: skip
    return rows, rate >= least


def compare(subjects: Sequence[Subject], rows: Sequence[Row]) -> None:
    """How the estimates of the candidates that ran relate to their real times."""
    by_name = {row.candidate: row for row in rows if not row.error}
    pairs = [(by_name[one.case.name], one) for one in subjects if one.case.name in by_name]
    real = np.array([one.reference.median_s for _, one in pairs])
    estimated = np.array([row.total_s for row, _ in pairs])
    macs = np.array([row.macs for row, _ in pairs])
    held = [row.ci_low_s <= one.reference.median_s <= row.ci_high_s for row, one in pairs]
    away = np.abs(estimated / real - 1)
    by_macs = np.abs(np.array(mac_regression(list(macs), list(real)), dtype=float) / real - 1)
    spread = np.array([one.process_spread for _, one in pairs])
    print(f"{len(pairs)} really run, {real.min() * 1e3:.1f} to {real.max() * 1e3:.1f} ms: rank correlation "
          f"{spearmanr(estimated, real).statistic:.3f}, mean error {away.mean():.1%}, bias "
          f"{(estimated / real).mean() - 1:+.1%}, worst {away.max():.0%}, within 10 % {(away <= 0.1).mean():.0%}, "
          f"interval holds {np.mean(held):.0%}")  # fmt: skip
    print(f"by MACs: rank correlation {spearmanr(macs, real).statistic:.3f}, mean error of a line through the others "
          f"{by_macs.mean():.1%}; the same candidate in two processes differs by {spread.mean():.1%}")  # fmt: skip


def main() -> int:
    """Sweep where needed, rank, and say whether each limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--traces", type=int, default=500, help="so many of them also from traces")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--run", type=int, default=0, help="so many of them really run")
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="keeps what real runs took")
    parser.add_argument("--minutes", type=float, default=USUAL_MINUTES, help="of sweeping, about")
    parser.add_argument("--seconds", type=float, help="of this piece of sweep and runs, about; with --runs")
    parser.add_argument("--keep", type=Path, help="keeps each estimate: the same command with --profile goes on there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), chosen.profile or Path(name) / "board.sqlite"
        specification, cases = write_modules(folder, chosen.candidates, min(chosen.run, chosen.candidates))
        subjects = [Subject(case) for case in cases]
        if subjects:
            with Profile.create_or_open(path, read_board()) as profile:
                kept, piece = Kept(chosen.runs or folder / "runs"), Piece(chosen.seconds)
                try:
                    sweep_and_run(subjects, profile, THREADS, chosen.minutes, kept, piece, PASSES)
                except OutOfTimeError:
                    print(f"{len(kept.references())} processes so far: run the same command again")
                    return 3
        elif chosen.profile is None:
            made_up(path)
        (folder / "traces").mkdir()
        write_traces(folder / "traces", chosen.traces)
        with Profile.open(path) as profile:
            _, first = timed("traces", Specification(str(folder / "traces")), profile, chosen.jobs,
                             MIN_TRACES_A_SECOND)  # fmt: skip
            rows, second = timed("modules", specification, profile, chosen.jobs, MIN_MODULES_A_SECOND, chosen.keep)
        if subjects:
            compare(subjects, rows)
    return 0 if first and second else 1


if __name__ == "__main__":
    sys.exit(main())
