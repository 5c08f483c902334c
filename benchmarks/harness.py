"""What the harness itself adds, against its peers: works of known length, timed by each tool in turn in one run.

    python -m benchmarks.harness [--rounds 15]

Works: chains of dependent arithmetic of about 100 ns, 1 us, 10 us and 1 ms, and aten::add on one element. The truth
of a chain comes from differences: (time of 2N steps - time of N steps) / N, with N so large that what any harness
adds vanishes, measured in every round anew. aten::add has no such truth: only the
tools' own figures stand side by side.

Tools: opclock (as kernels are sampled), torch.utils.benchmark.Timer, Python's timeit, and google-benchmark where
its header is installed (Debian: libbenchmark-dev).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.benchmark import Timer

from opclock import _core
from opclock.extension import load_aten, process_clock

LENGTHS_S = {"100 ns": 100e-9, "1 us": 1e-6, "10 us": 10e-6, "1 ms": 1e-3}
ADD = "aten::add"
SAMPLES = 101  # of opclock in a round
BLOCK_S = 0.02  # what each other tool may take in a round
LONG_STEPS = 100_000  # a quarter of a millisecond: what a harness adds is below 1 in 5000 of it
ROOT = Path(__file__).resolve().parents[1]


def seconds_per_step() -> float:
    """The slope of time over steps."""
    clock = process_clock()
    once, twice = (np.median(_core.time_chain(clock, steps, 61)) for steps in (LONG_STEPS, 2 * LONG_STEPS))
    return float(twice - once) / LONG_STEPS


class Opclock:
    """Our own: a pool of one task."""

    def __init__(self) -> None:
        one = torch.ones(1)
        self._pool = load_aten().Pool(0, True)
        number = self._pool.add("aten::add", "Tensor", (one, one), {}, 0, [], [])
        assert self._pool.answer(number)[0].item() == 2
        self._pool.warm_up(0.1)

    def chain(self, steps: int) -> float:
        return float(np.median(_core.time_chain(process_clock(), steps, SAMPLES)))

    def add(self) -> float:
        samples = np.empty((SAMPLES, 1))
        for sample in samples:
            self._pool.begin_round()
            self._pool.end_round(sample)
        return float(np.median(samples))


class TorchTimer:
    """torch.utils.benchmark.Timer as its documentation shows it."""

    def chain(self, steps: int) -> float:
        timer = Timer("run_chain(steps)", globals={"run_chain": _core.run_chain, "steps": steps})
        return float(timer.blocked_autorange(min_run_time=BLOCK_S).median)

    def add(self) -> float:
        with torch.inference_mode():
            timer = Timer("torch.add(one, one)", globals={"torch": torch, "one": torch.ones(1)})
            return float(timer.blocked_autorange(min_run_time=BLOCK_S).median)


class Timeit:
    """Python's timeit: the median of five repeats."""

    def _time(self, statement: str, names: dict[str, object]) -> float:
        timer = timeit.Timer(statement, globals=names)
        number = max(1, int(BLOCK_S / 5 / max(timer.timeit(10) / 10, 1e-9)))
        return float(np.median(timer.repeat(5, number)) / number)

    def chain(self, steps: int) -> float:
        return self._time("run_chain(steps)", {"run_chain": _core.run_chain, "steps": steps})

    def add(self) -> float:
        with torch.inference_mode():
            return self._time("add(one, one)", {"add": torch.add, "one": torch.ones(1)})


class GoogleBenchmark:
    """A C++ program of its own, run once a round for all works."""

    def __init__(self, folder: Path) -> None:
        root = Path(torch.__file__).parent
        self._program = folder / "peer"
        command = [
            "g++", "-O2", "-std=c++20", f"-I{ROOT / 'csrc'}", f"-isystem{root / 'include'}",
            str(ROOT / "benchmarks" / "google_benchmark_peer.cpp"), f"-L{root / 'lib'}", f"-Wl,-rpath,{root / 'lib'}",
            "-ltorch_cpu", "-lc10", "-lbenchmark", "-lpthread", "-o", str(self._program),
        ]  # fmt: skip
        subprocess.run(command, check=True)

    def round(self, steps: list[int]) -> dict[str, float]:
        environment = {**os.environ, "CHAIN_STEPS": " ".join(map(str, steps))}
        options = [f"--benchmark_min_time={BLOCK_S}", "--benchmark_format=json"]
        done = subprocess.run([self._program, *options], env=environment, check=True, capture_output=True, text=True)
        return {row["name"]: row["real_time"] * 1e-9 for row in json.loads(done.stdout)["benchmarks"]}


def run(rounds: int, seed: int = 0) -> pd.DataFrame:
    """One row a measurement: round, tool, work, seconds, truth_s (of chains)."""
    shuffle = random.Random(seed)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tools: dict[str, Opclock | TorchTimer | Timeit] = {
            "opclock": Opclock(), "torch Timer": TorchTimer(), "timeit": Timeit()
        }  # fmt: skip
        google = None
        if Path("/usr/include/benchmark/benchmark.h").exists():
            google = GoogleBenchmark(Path(folder))
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            step_s = seconds_per_step()
            steps = {work: max(1, round(length / step_s)) for work, length in LENGTHS_S.items()}
            tasks = [(name, work) for name in tools for work in (*steps, ADD)] + [("google", "")]
            shuffle.shuffle(tasks)
            for name, work in tasks:
                if name == "google":
                    if google is not None:
                        seconds = google.round(list(steps.values()))
                        rows += [(number, "google-benchmark", key, seconds[f"chain/{count}"], count * step_s)
                                 for key, count in steps.items()]  # fmt: skip
                        rows.append((number, "google-benchmark", ADD, seconds["add_one"], np.nan))
                elif work == ADD:
                    rows.append((number, name, work, tools[name].add(), np.nan))
                else:
                    rows.append((number, name, work, tools[name].chain(steps[work]), steps[work] * step_s))
    return pd.DataFrame(rows, columns=["round", "tool", "work", "seconds", "truth_s"])


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """By tool and work: what is added to the truth (ns and share), and the spread over rounds."""
    rows = rows.assign(added_ns=(rows["seconds"] - rows["truth_s"]) * 1e9, bias=rows["seconds"] / rows["truth_s"] - 1)
    groups = rows.groupby(["work", "tool"], sort=False)
    return pd.DataFrame({
        "median_ns": groups["seconds"].median() * 1e9,
        "added_ns": groups["added_ns"].median(),
        "bias": groups["bias"].median(),
        "spread": groups["seconds"].agg(lambda values: (values - values.median()).abs().median() / values.median()),
    }).reset_index()  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rows = table(run(parser.parse_args().rounds))
    order = {work: i for i, work in enumerate((*LENGTHS_S, ADD))}
    print(rows.sort_values("work", key=lambda works: works.map(order), kind="stable").round(4).to_string(index=False))


if __name__ == "__main__":
    main()
