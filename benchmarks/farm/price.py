"""What a board's worker costs the measurement beside which it sleeps: at most 1 %.

    python -m benchmarks.farm.price [--pairs 900] [--block-s 0.5] [--core 0] [--other 1] [--seed 0] [--results FILE]

A worker waits for its command on the core on which blocks of one model's inferences are timed. In half of the blocks,
in random order, its threads are bound to another core instead, as if it were not there. Nothing stops it, so it has
nothing to make up for in the blocks that hold it. Blocks are short, so that a machine whose speed drifts is as fast in
both. Beside the ratio of the blocks' means stands what the worker itself used, by the kernel's count, which does not
depend on noise. The file keeps every pair: a run with another seed adds its own, and what is printed is of them all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from scipy.stats import t as student

from benchmarks.farm.small_farm import SmallFarm, job, wait_until
from opclock.farm.session import Farm

if TYPE_CHECKING:
    from opclock.models.loading import Model

MAX_PRICE = 0.01


def _block(model: Model, seconds: float) -> tuple[float, float]:
    """Mean seconds of an inference in a block, and the block's."""
    import torch

    count, start = 0, time.perf_counter()
    with torch.inference_mode():
        while (spent := time.perf_counter() - start) < seconds:
            model.module(*model.inputs)
            count += 1
    return spent / count, spent


def main() -> int:
    """Time the blocks and print the price of all in the file. Returns 1 where it is above the limit for certain."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=900)
    parser.add_argument("--block-s", type=float, default=0.5)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--other", type=int, default=1, help="the core of a worker that is not there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path("build/farm-price.jsonl"))
    chosen = parser.parse_args()
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        farm = SmallFarm(Path(folder), real_pace=True, gone_s=300.0)
        try:
            farm.begin("a", cpus=[chosen.core])
            farm.wait_for("a")
            with farm.connect() as connected:
                _time_pairs(farm, connected, chosen)
        finally:
            farm.close()
    return _price([json.loads(line) for line in chosen.results.read_text(encoding="utf-8").splitlines()])


def _time_pairs(farm: SmallFarm, connected: Farm, chosen: argparse.Namespace) -> None:
    """Add a line for each pair of blocks to the file."""
    import torch

    from opclock.models.loading import load_model

    model = load_model("zoo:mobilenet")
    psutil.Process().cpu_affinity([chosen.core])
    torch.set_num_threads(1)
    waiting = connected.run([job("hang", limit_s=36_000.0)])
    threading.Thread(target=lambda: next(waiting), daemon=True).start()
    wait_until(lambda: any(board.job for board in connected.boards()))
    worker, order = psutil.Process(farm.pid("a")), random.Random(chosen.seed)
    _block(model, 2.0)  # warm
    for _ in range(chosen.pairs):
        pair: dict[str, float] = {}
        for there in order.sample((True, False), 2):
            _bind(worker, chosen.core if there else chosen.other)
            used_s = _used_s(worker.pid)
            mean_s, block_s = _block(model, chosen.block_s)
            if there:
                pair |= {"with_s": mean_s, "used": (_used_s(worker.pid) - used_s) / block_s}
            else:
                pair["without_s"] = mean_s
        with chosen.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(pair) + "\n")


def _bind(process: psutil.Process, core: int) -> None:
    """Move all threads of a process and of its children to a core."""
    for one in (process, *process.children(recursive=True)):
        for task in Path(f"/proc/{one.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def _price(pairs: list[dict[str, float]]) -> int:
    ratios = np.log([pair["with_s"] / pair["without_s"] for pair in pairs])
    mean, half = float(np.mean(ratios)), 0.0
    if len(ratios) > 1:
        half = float(student.ppf(0.975, len(ratios) - 1) * np.std(ratios, ddof=1) / np.sqrt(len(ratios)))
    low, middle, high = np.expm1([mean - half, mean, mean + half])
    print(f"price by time: {middle:+.2%} [{low:+.2%}, {high:+.2%}], {len(pairs)} pairs")
    print(f"the worker's own: {np.mean([pair['used'] for pair in pairs]):.3%} of the core")
    return 1 if low > MAX_PRICE else 0


def _used_s(pid: int) -> float:
    """Seconds on a core of all threads of a process, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


if __name__ == "__main__":
    sys.exit(main())
