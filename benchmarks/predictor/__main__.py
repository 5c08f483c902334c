"""Estimates of models of which no op call was measured, against real inference, in one run.

    python -m benchmarks.predictor [--minutes N] [--keep FOLDER [--seconds N]] [--threads N] [--json FILE]

What the profile lacks of the kernels of 'opclock sweep --preset board' is timed, as many as fit into the minutes.
Between any two of its pools some of the real models run, so that a drift of the machine meets both alike; in processes
that come and go, for a heap that is laid out by chance decides up to a sixth of a model's time. A third of the models
take one small image. Beside the estimate stand a roofline, a line through other models' MACs, and the published method:
a random forest for each operator class on raw shape numbers, trained on the same samples.

With --keep, the folder holds the profile and everything else that was sampled, and the same command goes on from there:
--seconds makes pieces of about so many seconds (and up to half a minute more). Exit code 3: a further piece is needed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks import torchvision_operators  # noqa: F401
from benchmarks.predictor.cases import CASES, SMALL_NAMES
from benchmarks.predictor.kept import Kept, Piece
from benchmarks.predictor.session import OutOfTimeError, Subject, sweep_and_run
from benchmarks.published.nn_meter import KernelForests
from opclock.board.identity import read_board
from opclock.estimation.baselines import mac_regression
from opclock.estimation.estimate import estimate
from opclock.estimation.result import Estimate
from opclock.prediction.ceilings import Ceilings
from opclock.prediction.predictor import Predictor
from opclock.prediction.training import training_samples
from opclock.profiles.profile import Profile
from opclock.sweeps.presets import USUAL_MINUTES
from opclock.tracing.macs import model_macs


def row_of(
    subject: Subject, profile: Profile, threads: int, ceilings: Ceilings, published: KernelForests
) -> dict[str, Any]:
    """One model."""
    traced, reference = subject.traced, subject.reference
    estimated: Estimate = estimate(traced, profile, threads=threads)
    unique = {call.call.key: call for call in traced.calls}
    counts = Counter(call.call.key for call in traced.calls)
    forest_s = sum(counts[key] * seconds for key, seconds in zip(unique, published.predict(list(unique.values())),
                                                                 strict=True))  # fmt: skip
    return {
        "model": traced.model,
        "small_image": traced.model in SMALL_NAMES,
        "reference_s": reference.median_s,
        "repeat": reference.repeat_error,
        "processes": subject.process_spread,
        "estimate_s": estimated.total_s,
        "host_share": estimated.host_s / estimated.total_s,
        "error": estimated.total_s / reference.median_s - 1,
        "held": estimated.ci_low_s <= reference.median_s <= estimated.ci_high_s,
        "measured": estimated.coverage.measured,
        "unknown": estimated.coverage.unknown,
        "macs": model_macs(traced),
        "roofline": sum(ceilings.call_s(call) for call in traced.calls) / reference.median_s - 1,
        "published": (forest_s + estimated.host_s) / reference.median_s - 1,
        "published_alone": forest_s / reference.median_s - 1,
        "subnormal": subject.subnormal,
    }


def main() -> None:
    """Sweep where needed, run every model, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=USUAL_MINUTES, help="of sweeping, about")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--seconds", type=float, help="of this piece, about; with --keep")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.seconds is not None and chosen.keep is None:
        parser.error("--seconds needs --keep: the next piece goes on from that folder")
    piece = Piece(chosen.seconds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        kept = Kept(folder)
        with Profile.create_or_open(folder / "board.sqlite", read_board()) as profile:
            subjects = [Subject(case, kept) for case in CASES]
            try:
                minutes = sweep_and_run(subjects, profile, chosen.threads, chosen.minutes, kept, piece)
            except OutOfTimeError:
                print(f"{kept.sweep_s / 60:.1f} minutes of sweeping and {len(kept.references())} processes so far: run "
                      "the same command again")  # fmt: skip
                sys.exit(3)
            rows = rows_of(subjects, profile, chosen.threads)
    _show(pd.DataFrame(rows), minutes, chosen.json)


def rows_of(subjects: Sequence[Subject], profile: Profile, threads: int) -> list[dict[str, Any]]:
    """All models."""
    ceilings = Ceilings.read(profile, threads)
    samples = training_samples(profile, threads, "cpu", ceilings)
    calls = profile.traced({sample.key for sample in samples})
    published = KernelForests([calls[sample.key] for sample in samples], [sample.seconds for sample in samples])
    predictor = Predictor.read(profile, threads)
    for name in predictor.kinds:
        print(f"{name:14} mean error of op calls left out {predictor.spread(name).mean_error:.1%}", flush=True)
    return [row_of(subject, profile, threads, ceilings, published) for subject in subjects]


def _show(table: pd.DataFrame, minutes: float, json_path: Path | None) -> None:
    """Print every model's row and the means over models."""
    usual = ~table["subnormal"]
    fitted = mac_regression(list(table.loc[usual, "macs"]), list(table.loc[usual, "reference_s"]))
    table.loc[usual, "mac_regression"] = np.array(fitted, dtype=float) / table.loc[usual, "reference_s"] - 1
    if json_path:
        json_path.write_text(json.dumps({"minutes": minutes, "rows": table.to_dict("records")}, indent=1))
    print(table.drop(columns=["macs", "measured"]).round(3).to_string())
    if table["subnormal"].any():
        print(f"left out, as they compute subnormal numbers: {', '.join(table.loc[table['subnormal'], 'model'])}")
        table = table[~table["subnormal"]]
    print(f"{minutes:.1f} minutes of sweeping")
    for name in ("error", "repeat", "processes", "roofline", "mac_regression", "published", "published_alone"):
        print(f"{name:16} {_sizes(table[name])}")
    for name, some in (("small images", table[table["small_image"]]), ("other models", table[~table["small_image"]])):
        print(f"{name:16} {_sizes(some['error'])}  bias {some['error'].mean():+.1%}")
    rank = spearmanr(table["estimate_s"], table["reference_s"]).statistic
    print(f"bias {table['error'].mean():+.1%}; rank correlation {rank:.3f}; "
          f"interval holds {table['held'].mean():.0%} of {len(table)}")  # fmt: skip


def _sizes(errors: pd.Series[float]) -> str:
    away = errors.abs()
    return f"mean {away.mean():.1%}  within 10 % {(away <= 0.1).mean():.0%}  worst {away.max():.0%}"


if __name__ == "__main__":
    main()
