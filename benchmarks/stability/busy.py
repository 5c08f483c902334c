"""Estimates on a quiet machine, beside one busy process and beside two, in turn for each model.

    python -m benchmarks.stability.busy [--models 20] [--threads 2]

Each estimate comes from a profile of its own, and is compared with real inference on the quiet machine, timed before
and after. A number is caught where a flag says that it is not reliable; the exit code is 1 where one that is not caught
is beyond 25 %, or where the median error beside busy processes is over twice that of the quiet machine. Takes about 12
minutes.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.cases import Case, own
from opclock.board.identity import read_board
from opclock.board.system import allowed_cores
from opclock.estimation.estimate import estimate
from opclock.flags import untrusted
from opclock.models.loading import Model, load_model
from opclock.models.zoo import ZOO
from opclock.profiles.profile import Profile
from opclock.timing.measure import measure
from opclock.timing.reference import forward_of, reference
from opclock.tracing.recorder import trace

CASES = [
    *(Case(name, f"zoo:{name}", "1x3x32x32") for name in ZOO),
    *own(
        "unet", "unet_tiny", "yolo", "ssd", "densenet", "mixer", "keywords", "speech_lstm", "text_gru", "text_encoder"
    ),
]
LOADS = {"quiet": 0, "1 busy": 1, "2 busy": 2}
MAX_ERROR = 0.25  # of a number that no flag catches
REFERENCES = 5  # tries to time the model on the quiet machine
MAX_RATIO = 2.0  # of the median errors, busy to quiet


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Beside this many processes that never rest, each on a core of its own."""
    cores = allowed_cores()
    running = [
        subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
        for core in cores[:processes]
    ]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def estimated(model: Model, threads: int) -> tuple[float, tuple[str, ...]]:
    """Seconds of one inference from a new profile, and the flags."""
    traced = trace(model.module, model.inputs, name=model.name)
    with (
        tempfile.TemporaryDirectory() as folder,
        Profile.create_or_open(Path(folder) / "profile.sqlite", read_board()) as profile,
    ):
        measure(traced, profile, forward=forward_of(model.module, model.inputs), threads=threads)
        result = estimate(traced, profile, threads=threads)
        return result.total_s, result.flags


def quiet_s(model: Model, threads: int) -> float:
    """Seconds of real inference on the quiet machine. Raises RuntimeError where it is not quiet."""
    for _ in range(REFERENCES):
        timed = reference(model.module, model.inputs, threads=threads)
        if not timed.contended:
            return timed.median_s
    raise RuntimeError("other programs run here: there is no quiet machine to compare with")


def rows_of(case: Case, threads: int, order: random.Random) -> list[dict[str, object]]:
    """One row for each load. Their order is random, so that a drift of the machine is no load's alone."""
    model = load_model(case.model, input_text=case.input_text)
    first_s = quiet_s(model, threads)
    seconds = {}
    for load in order.sample(list(LOADS), len(LOADS)):
        with busy(LOADS[load]):
            seconds[load] = estimated(model, threads)
    last_s = quiet_s(model, threads)
    true_s = (first_s + last_s) / 2
    rows = [
        {"case": case.name, "load": load, "reference_ms": true_s * 1e3, "repeat": last_s / first_s - 1,
         "estimate_ms": total_s * 1e3, "error": total_s / true_s - 1, "caught": bool(untrusted(flags)),
         "flags": " ".join(flags)}
        for load, (total_s, flags) in seconds.items()
    ]  # fmt: skip
    for row in rows:
        print(f"{row['case']}, {row['load']}: {row['error']:+.1%} {row['flags']}", file=sys.stderr)
    return rows


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each load: errors of all numbers and of those that no flag catches."""
    rows = {}
    for load in LOADS:
        part = table[table["load"] == load]
        errors, kept = part["error"].abs(), part[~part["caught"]]["error"].abs()
        rows[load] = {
            "numbers": len(part),
            "caught": int(part["caught"].sum()),
            "contended": int(part["flags"].str.contains("contended").sum()),
            "median_error": errors.median(),
            "median_error_uncaught": kept.median(),
            "largest_error_uncaught": kept.max() if len(kept) else np.nan,
        }
    return pd.DataFrame(rows).T


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=len(CASES), help="how many of the 20 models")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    order = random.Random(0)
    table = pd.DataFrame([row for case in CASES[: options.models] for row in rows_of(case, options.threads, order)])
    print(table.to_string(index=False, float_format="{:.3f}".format))
    loads = summary(table)
    print(loads.to_string(float_format="{:.3f}".format))
    print(f"the models repeat within {table['repeat'].abs().median():.1%} (median), {table['repeat'].abs().max():.1%}")
    worst = loads["largest_error_uncaught"].max()
    ratio = loads["median_error_uncaught"].iloc[1:].max() / loads["median_error_uncaught"].iloc[0]
    print(f"worst error that no flag catches {worst:.1%}; busy / quiet median error {ratio:.2f}")
    if loads["caught"].iloc[0] == options.models:
        print("every number of the quiet machine is flagged, so there is nothing to compare with")
        return 1
    return int(worst > MAX_ERROR or ratio > MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
