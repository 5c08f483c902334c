"""Estimates of models of which no op call was measured, against real inference, in one run.

    python benchmarks/predictor/run.py [--profile FILE] [--threads N] [--json FILE]

What the profile lacks of 'opclock sweep --preset board' is timed, and between any two of its pools some of the real
models run, so that both meet the machine in the same moods; in processes that come and go, for a heap that is laid out
by chance decides up to a sixth of a model's time. The models are torchvision's, and those of the accuracy
benchmark that no method was chosen on. Beside the estimate stand a roofline, a line through other models' MACs, and the
published way: a random forest for each operator class on raw shape numbers, trained on the same samples.
"""

from __future__ import annotations

import argparse
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
from witness import Halves, Witness  # noqa: E402

from opclock.board.identity import read_board  # noqa: E402
from opclock.estimation.baselines import mac_regression  # noqa: E402
from opclock.estimation.ceilings import Ceilings  # noqa: E402
from opclock.estimation.estimate import estimate  # noqa: E402
from opclock.estimation.predictor import Predictor, training_samples  # noqa: E402
from opclock.estimation.result import Estimate  # noqa: E402
from opclock.models.loading import load_model  # noqa: E402
from opclock.profiles.profile import Profile  # noqa: E402
from opclock.sweeps.presets import preset  # noqa: E402
from opclock.sweeps.run import run_sweep  # noqa: E402
from opclock.timing.ceiling_runs import measure_ceilings  # noqa: E402
from opclock.timing.reference import Reference  # noqa: E402
from opclock.tracing.macs import model_macs  # noqa: E402
from opclock.tracing.recorder import trace  # noqa: E402
from opclock.tracing.trace import Trace  # noqa: E402

TURNS = 2  # of models between two pools of the sweep
GENERATIONS = 3  # every model runs in so many fresh processes, in other company each time
COMPANY = 5  # models that share a process
MIN_TURNS = 2  # of each model in a process, whatever was left to sweep
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
    """A model that is traced here, and really run in other processes."""

    def __init__(self, case: Case) -> None:
        self.case = case
        model = load_model(case.model, input_text=case.input_text)
        self.traced: Trace = trace(model.module, model.inputs, name=case.name)
        self._by_process: list[Halves] = []

    def add(self, halves: Halves) -> None:
        """What one process sampled."""
        self._by_process.append(halves)

    @property
    def reference(self) -> Reference:
        """All processes together."""
        return Reference(*(np.concatenate([halves[i] for halves in self._by_process]) for i in (0, 1)))

    @property
    def process_spread(self) -> float:
        """How far the processes' medians lie apart, as a fraction of the median: the floor between processes."""
        medians = [float(np.median(np.concatenate(halves))) for halves in self._by_process]
        return (max(medians) - min(medians)) / self.reference.median_s


class InterleavedSession:
    """Processes one after the other, each with some of the models, spread over the sweep."""

    def __init__(self, subjects: Sequence[Subject], threads: int) -> None:
        self._subjects = {subject.case.name: subject for subject in subjects}
        self._threads = threads
        self._waiting: list[list[Case]] = []
        for generation in range(GENERATIONS):
            order = random.Random(generation).sample([subject.case for subject in subjects], len(subjects))
            self._waiting += [order[i : i + COMPANY] for i in range(0, len(order), COMPANY)]
        self._processes = len(self._waiting)
        self._witness: Witness | None = None
        self._turns = 0
        self.seconds = 0.0

    def between(self, _text: str, share: float) -> None:
        """Between two pools of the sweep, this share of which is done."""
        start = time.perf_counter()
        if self._witness is None or self._processes - len(self._waiting) <= share * self._processes:
            self._change()
        self._take(TURNS)
        self.seconds += time.perf_counter() - start

    def finish(self) -> None:
        """The turns that are due yet."""
        while self._waiting:
            self._change()
        self._leave()

    def _take(self, turns: int) -> None:
        if self._witness is not None:
            for _ in range(turns):
                self._witness.turn()
            self._turns += turns

    def _change(self) -> None:
        self._leave()
        if self._waiting:
            self._witness, self._turns = Witness(self._waiting.pop(0), self._threads), 0

    def _leave(self) -> None:
        if self._witness is not None:
            self._take(MIN_TURNS * COMPANY - self._turns)
            for name, halves in self._witness.leave().items():
                self._subjects[name].add(halves)
            self._witness = None


def sweep_and_run(subjects: Sequence[Subject], profile: Profile, threads: int) -> None:
    """The sweep, with turns of the models between its pools."""
    turns = InterleavedSession(subjects, threads)
    measure_ceilings(profile, threads)
    start = time.perf_counter()
    planned = preset("board")
    plan_s = time.perf_counter() - start
    done = run_sweep(planned, profile, threads=threads, as_in_models=True, progress=turns.between)
    sweep_s = done.seconds - turns.seconds
    print(f"{done.timed} kernels timed, {done.known} known; planning {plan_s:.1f} s, sweep {sweep_s:.0f} s, "
          f"{done.kernel_s / sweep_s:.1%} of it in kernels, {done.kernel_s / (plan_s + sweep_s):.1%} of both; "
          f"models {turns.seconds:.0f} s", flush=True)  # fmt: skip
    turns.finish()


def row_of(
    subject: Subject, profile: Profile, threads: int, ceilings: Ceilings, published: PublishedPredictor
) -> dict[str, Any]:
    """One model."""
    traced, reference = subject.traced, subject.reference
    made: Estimate = estimate(traced, profile, threads=threads)
    unique = {call.call.key: call for call in traced.calls}
    counts = Counter(call.call.key for call in traced.calls)
    forest_s = sum(counts[key] * seconds for key, seconds in zip(unique, published.predict(list(unique.values())),
                                                                 strict=True))  # fmt: skip
    return {
        "model": traced.model,
        "reference_s": reference.median_s,
        "repeat": reference.repeat_error,
        "processes": subject.process_spread,
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
            subjects = [Subject(case) for case in [*TORCHVISION, *HELD_OUT]]
            sweep_and_run(subjects, profile, chosen.threads)
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
    for name in ("error", "repeat", "processes", "roofline", "mac_regression", "published", "published_alone"):
        away = table[name].abs()
        print(f"{name:16} mean {away.mean():.1%}  within 10 % {(away <= 0.1).mean():.0%}  worst {away.max():.0%}")
    rank = spearmanr(table["estimate_s"], table["reference_s"]).statistic
    print(f"rank correlation {rank:.3f}; interval holds {table['held'].mean():.0%}; "
          f"roofline {table['roofline'].abs().mean() / table['error'].abs().mean():.1f} times the error, "
          f"MAC regression {table['mac_regression'].abs().mean() / table['error'].abs().mean():.1f} times")  # fmt: skip


if __name__ == "__main__":
    main()
