"""How far profiles of one model lie apart that were measured minutes apart, before and after correction.

    python -m benchmarks.stability.state --folder hour --repeats 6 --every-s 600   # about an hour, mostly waiting
    python -m benchmarks.stability.state --folder hour --repeats 0                 # only reads what is there

Every repeat validates each model in a fresh process with a fresh profile: op calls and reference take turns. What is in
the folder already is not measured again. Then each profile estimates its model for the state of each other one, and
these estimates are held against the other's reference, which is of another process and of other minutes. Nothing is
fitted: seconds are scaled by the control workloads alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.models.loading import load_model
from opclock.profiles.machine_state import MachineState, usual_state
from opclock.profiles.profile import Profile
from opclock.tracing.recorder import trace
from opclock.tracing.trace import Trace

MODELS = ("mobilenet", "mobilenetv2", "shufflenet", "shufflenetv2", "resnet50", "seresnet50", "vgg16", "xception",
          "inceptionv3", "inceptionv4")  # fmt: skip


HOURS = (0.5, 1.0, 2.0, 6.0, 24.0, 24.0 * 30)  # between a profile and the minutes that it is asked about


@dataclass(frozen=True)
class Repeat:
    """One measurement of one model."""

    profile: Path
    reference_s: float
    state: MachineState
    raw: Estimate
    started_s: float  # the latest of its pools, by the system's clock


def measure(model: str, threads: int, stem: Path) -> None:
    """Validate the model in a process of its own, and keep profile and result beside each other."""
    command = [sys.executable, "-m", "opclock", "validate", model, "--threads", str(threads),
               "--profile", f"{stem}.sqlite", "--json", f"{stem}.json"]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        print(f"{stem.name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)


def read(traced: Trace, threads: int, result: Path) -> Repeat:
    """The repeat with this result."""
    row = json.loads(result.read_text(encoding="utf-8"))["rows"][0]
    with Profile.open(result.with_suffix(".sqlite")) as profile:
        state = usual_state(profile, threads)
        raw = estimate(traced, profile, threads=threads)
        started_s = float(profile.ask("SELECT max(started) FROM pool")[0][0])
    return Repeat(result.with_suffix(".sqlite"), row["reference"]["median_s"], state, raw, started_s)


def records(model: str, traced: Trace, threads: int, repeats: list[Repeat]) -> list[dict[str, object]]:
    """One record a pair of a profile and another repeat's reference, and one a profile for the common state."""
    common = MachineState.usual([one.state for one in repeats])
    found: list[dict[str, object]] = []
    for number, one in enumerate(repeats):
        with Profile.open(one.profile) as profile:
            usual = estimate(traced, profile, threads=threads, state=common)
            for other in repeats:
                if other is one:
                    continue
                moved = estimate(traced, profile, threads=threads, state=other.state)
                found.append({
                    "model": model, "repeat": number, "apart_s": abs(one.started_s - other.started_s),
                    "raw_s": one.raw.total_s, "common_s": usual.total_s,
                    "raw_error": one.raw.total_s / other.reference_s - 1,
                    "error": moved.total_s / other.reference_s - 1,
                    "raw_held": one.raw.ci_low_s <= other.reference_s <= one.raw.ci_high_s,
                    "held": moved.ci_low_s <= other.reference_s <= moved.ci_high_s,
                    "half_width": (moved.ci_high_s - moved.ci_low_s) / 2 / moved.total_s,
                    "same_error": one.raw.total_s / one.reference_s - 1,
                })  # fmt: skip
    return found


def deviation(seconds: pd.Series) -> float:
    """The mean deviation of logarithms from their median."""
    logs = np.log(seconds.to_numpy(dtype=float))
    return float(np.mean(np.abs(logs - np.median(logs))))


def summary(rows: pd.DataFrame) -> pd.Series:
    """The figures of one model or of all, as fractions."""
    each = rows.drop_duplicates(["model", "repeat"]).groupby("model")
    raw = float(each["raw_s"].apply(deviation).mean())
    corrected = float(each["common_s"].apply(deviation).mean())
    return pd.Series({
        "profiles": len(rows.drop_duplicates(["model", "repeat"])),
        "deviation_raw": raw, "deviation": corrected, "ratio": corrected / raw if raw else np.nan,
        "error_raw": rows["raw_error"].abs().mean(), "error": rows["error"].abs().mean(),
        "error_same_minutes": rows.drop_duplicates(["model", "repeat"])["same_error"].abs().mean(),
        "held_raw": rows["raw_held"].mean(), "held": rows["held"].mean(), "half_width": rows["half_width"].median(),
    })  # fmt: skip


def by_distance(rows: pd.DataFrame) -> pd.DataFrame:
    """The errors of estimates for other minutes, by how far these lie from the profile's."""
    names = [f"up to {hours:g} h" for hours in HOURS]
    bins = pd.cut(rows["apart_s"] / 3600, [0.0, *HOURS], labels=names)
    found = rows.assign(raw_error=rows["raw_error"].abs(), error=rows["error"].abs()).groupby(bins, observed=True)
    columns = ["raw_error", "error", "raw_held", "held"]
    return found[columns].mean().assign(pairs=found.size())


def main() -> None:
    """Measure what is missing, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[f"zoo:{name}" for name in MODELS])
    parser.add_argument("--folder", type=Path, required=True, help="where profiles and results are kept")
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--every-s", type=float, default=600.0, help="seconds between the starts of two repeats")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)

    def stem(model: str, number: int) -> Path:
        return Path(options.folder) / f"{model.replace(':', '_')}.{number}"

    for number in range(1, options.repeats + 1):
        missing = [model for model in options.models if not Path(f"{stem(model, number)}.json").exists()]
        started_s = time.monotonic()
        for model in missing:
            measure(model, options.threads, stem(model, number))
        if missing and number < options.repeats:
            print(f"repeat {number} of {options.repeats} is done", file=sys.stderr, flush=True)
            time.sleep(max(0.0, options.every_s - (time.monotonic() - started_s)))
    rows: list[dict[str, object]] = []
    for model in options.models:
        loaded = load_model(model)
        traced = trace(loaded.module, loaded.inputs, name=loaded.name)
        results = sorted(options.folder.glob(f"{model.replace(':', '_')}.*.json"))
        rows += records(model, traced, options.threads, [read(traced, options.threads, one) for one in results])
    if not rows:
        sys.exit(f"{options.folder} has one repeat of each model: give --repeats 2 or more")
    table = pd.DataFrame(rows)
    by_model = pd.DataFrame({model: summary(part) for model, part in table.groupby("model")}).T
    print(by_model.round(3).to_markdown(), "\n")
    print(by_distance(table).round(3).to_markdown(), "\n")
    print("all:", ", ".join(f"{name} {value:.3g}" for name, value in summary(table).items()))


if __name__ == "__main__":
    main()
