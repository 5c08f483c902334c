"""Estimates of models of which no op call was measured, against real inference, in one run.

    python benchmarks/predictor/run.py [--profile FILE] [--threads N] [--json FILE]

What the profile lacks of 'opclock sweep --preset board' is timed, and between any two of its pools some of the real
models run, so that both meet the machine in the same moods. The models are torchvision's, and those of the accuracy
benchmark that no method was chosen on. Beside the estimate stand a roofline, a line through other models' MACs, and the
published way: a random forest for each operator class on raw shape numbers, trained on the same samples.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "accuracy")]

import torchvision_operators  # noqa: E402, F401
from cases import HELD_OUT, Case  # noqa: E402
from published import PublishedPredictor  # noqa: E402

from opclock.baselines import mac_regression  # noqa: E402
from opclock.board import read_board  # noqa: E402
from opclock.ceilings import Ceilings, measure_ceilings  # noqa: E402
from opclock.estimate import Estimate, estimate  # noqa: E402
from opclock.macs import model_macs  # noqa: E402
from opclock.model import load_model  # noqa: E402
from opclock.predictor import Predictor, training_samples  # noqa: E402
from opclock.profile import Profile  # noqa: E402
from opclock.reference import Reference, ReferenceRun, forward_of  # noqa: E402
from opclock.sampling import thread_team  # noqa: E402
from opclock.sweeping import run_sweep  # noqa: E402
from opclock.sweeps.presets import preset  # noqa: E402
from opclock.trace import Trace  # noqa: E402
from opclock.tracer import trace  # noqa: E402

MODELS = 3  # that run between two pools of the sweep
FEWEST_TURNS = 6  # of each model, whatever was left to sweep
TORCHVISION = [
    Case(f"{name} {text}", f"torchvision:{name}", text)
    for name, text in (
        ("alexnet", "1x3x224x224"), ("squeezenet1_1", "1x3x224x224"), ("resnet18", "1x3x224x224"),
        ("resnext50_32x4d", "1x3x128x128"), ("densenet121", "1x3x128x128"), ("googlenet", "1x3x224x224"),
        ("mobilenet_v2", "1x3x224x224"), ("mobilenet_v3_large", "4x3x128x128"), ("mnasnet0_5", "8x3x96x96"),
        ("shufflenet_v2_x1_0", "1x3x224x224"), ("efficientnet_b0", "1x3x160x160"), ("regnet_y_400mf", "2x3x128x128"),
        ("convnext_tiny", "1x3x96x96"), ("swin_t", "1x3x128x128"), ("vit_b_32", "1x3x224x224"),
    )
]  # fmt: skip


class Subject:
    """A model that is traced, and really run in every turn."""

    def __init__(self, case: Case, threads: int) -> None:
        model = load_model(case.model, input_text=case.input_text)
        self.traced: Trace = trace(model.module, model.inputs, name=case.name)
        self.turns = 0
        with thread_team(threads):
            self._run = ReferenceRun(forward_of(model.module, model.inputs), case.name)

    def turn(self) -> None:
        """A block of the model and one of its repeat."""
        self.turns += 1
        self._run.block(0)
        self._run.block(1)

    def reference(self) -> Reference:
        """All turns together."""
        return self._run.reference()


def take_turns(subjects: Sequence[Subject], profile: Profile, threads: int) -> None:
    """The sweep, with some models before each of its pools."""
    waiting = itertools.cycle(random.Random(0).sample(subjects, len(subjects)))
    spent_s = 0.0

    def between(_text: str, _share: float) -> None:
        nonlocal spent_s
        start = time.perf_counter()
        for _ in range(MODELS):
            next(waiting).turn()
        spent_s += time.perf_counter() - start

    measure_ceilings(profile, threads)
    done = run_sweep(preset("board"), profile, threads=threads, as_in_models=True, progress=between)
    sweep_s = done.seconds - spent_s
    print(f"{done.timed} kernels timed, {done.known} known, {sweep_s:.0f} s, {done.kernel_s / sweep_s:.0%} in kernels; "
          f"models {spent_s:.0f} s", flush=True)  # fmt: skip
    with thread_team(threads):
        while min(subject.turns for subject in subjects) < FEWEST_TURNS:
            next(waiting).turn()


def row_of(
    subject: Subject, profile: Profile, threads: int, ceilings: Ceilings, published: PublishedPredictor
) -> dict[str, Any]:
    """One model."""
    traced, reference = subject.traced, subject.reference()
    made: Estimate = estimate(traced, profile, threads=threads)
    unique = {call.call.key: call for call in traced.calls}
    counts = Counter(call.call.key for call in traced.calls)
    forest_s = sum(counts[key] * seconds for key, seconds in zip(unique, published.predict(list(unique.values())),
                                                                 strict=True))  # fmt: skip
    return {
        "model": traced.model,
        "reference_s": reference.median_s,
        "repeat": reference.repeat_error,
        "estimate_s": made.total_s,
        "error": made.total_s / reference.median_s - 1,
        "held": made.ci_low_s <= reference.median_s <= made.ci_high_s,
        "measured": made.coverage.measured,
        "unknown": made.coverage.unknown,
        "macs": model_macs(traced),
        "roofline": sum(ceilings.call_s(call) for call in traced.calls) / reference.median_s - 1,
        "published": (forest_s + made.host_s) / reference.median_s - 1,
        "published_alone": forest_s / reference.median_s - 1,
    }


def main() -> None:
    """Sweep where needed, run every model, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = chosen.profile or Path(folder) / "board.sqlite"
        with Profile.create_or_open(path, read_board()) as profile:
            subjects = [Subject(case, chosen.threads) for case in [*TORCHVISION, *HELD_OUT]]
            take_turns(subjects, profile, chosen.threads)
            ceilings = Ceilings.read(profile, chosen.threads)
            samples = training_samples(profile, chosen.threads, "cpu", ceilings)
            published = PublishedPredictor(samples, profile)
            predictor = Predictor(samples, ceilings)
            for name in predictor.kinds:
                print(f"{name:14} mean error of op calls left out {predictor.spread(name).mean_error:.1%}", flush=True)
            rows = [row_of(subject, profile, chosen.threads, ceilings, published) for subject in subjects]
    table = pd.DataFrame(rows)
    fitted = mac_regression(list(table["macs"]), list(table["reference_s"]))
    table["mac_regression"] = np.array(fitted, dtype=float) / table["reference_s"] - 1
    if chosen.json:
        chosen.json.write_text(json.dumps(table.to_dict("records"), indent=1))
    print(table.drop(columns=["macs", "measured"]).round(3).to_string())
    for name in ("error", "repeat", "roofline", "mac_regression", "published", "published_alone"):
        away = table[name].abs()
        print(f"{name:16} mean {away.mean():.1%}  within 10 % {(away <= 0.1).mean():.0%}  worst {away.max():.0%}")
    rank = spearmanr(table["estimate_s"], table["reference_s"]).statistic
    print(f"rank correlation {rank:.3f}; interval holds {table['held'].mean():.0%}; "
          f"roofline {table['roofline'].abs().mean() / table['error'].abs().mean():.1f} times the error, "
          f"MAC regression {table['mac_regression'].abs().mean() / table['error'].abs().mean():.1f} times")  # fmt: skip


if __name__ == "__main__":
    main()
