"""What a board's worker costs the measurement beside which it sleeps: at most 1 %.

    python -m benchmarks.farm.price [--pairs 10] [--block-s 22] [--core 0]

A worker waits for its command on the core on which blocks of one model's inferences are timed. In half of the blocks,
in random order, the worker is stopped (SIGSTOP), as if it were not there. A block is longer than two heartbeats. Beside
the ratio of the blocks' means stands what the worker itself used, by the kernel's count: that does not depend on noise.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.farm.small_farm import SmallFarm, job, wait_until
from opclock.farm.session import Farm

MAX_PRICE = 0.01


def _block(seconds: float) -> float:
    """Mean seconds of an inference in a block."""
    import torch

    from opclock.models.loading import load_model

    model = load_model("zoo:mobilenet")
    count, start = 0, time.perf_counter()
    with torch.inference_mode():
        while (spent := time.perf_counter() - start) < seconds:
            model.module(*model.inputs)
            count += 1
    return spent / count


def main() -> int:
    """Time the blocks and print the price. Returns 1 where it is above the limit for certain."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--block-s", type=float, default=22.0)
    parser.add_argument("--core", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        farm = SmallFarm(Path(folder), {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "300s", "OPCLOCK_REAL_PACE": "1"})
        try:
            farm.begin("a", cpus=[chosen.core])
            farm.wait_for("a")
            with farm.connect() as connected:
                return _price(farm, connected, chosen)
        finally:
            farm.close()


def _price(farm: SmallFarm, connected: Farm, chosen: argparse.Namespace) -> int:
    import torch

    psutil.Process().cpu_affinity([chosen.core])
    torch.set_num_threads(1)
    waiting = connected.run([job("hang", limit_s=36_000.0)])
    threading.Thread(target=lambda: next(waiting), daemon=True).start()
    wait_until(lambda: any(board.job for board in connected.boards()))
    worker = psutil.Process(farm.pid("a"))
    _block(2.0)  # warm
    cpu_s, switches, start = _used(worker), worker.num_ctx_switches().voluntary, time.monotonic()
    ratios, order = [], random.Random(0)
    for number in range(chosen.pairs):
        means = {}
        for there in order.sample((True, False), 2):
            farm.send("a", signal.SIGCONT if there else signal.SIGSTOP)
            means[there] = _block(chosen.block_s)
        ratios.append(np.log(means[True] / means[False]))
        print(f"pair {number + 1}: {np.expm1(ratios[-1]):+.2%}", flush=True)
    farm.send("a", signal.SIGCONT)
    there_s = (time.monotonic() - start) / 2
    mean, error = (
        float(np.mean(ratios)),
        float(np.std(ratios, ddof=1) / np.sqrt(len(ratios))) if len(ratios) > 1 else 0.0,
    )
    print(
        f"price by time: {np.expm1(mean):+.2%} [{np.expm1(mean - 2 * error):+.2%}, {np.expm1(mean + 2 * error):+.2%}]"
    )
    print(f"the worker's own: {(_used(worker) - cpu_s) / there_s:.3%} of the core, "
          f"{(worker.num_ctx_switches().voluntary - switches) / there_s:.1f} wake-ups a second")  # fmt: skip
    return 1 if mean - 2 * error > np.log1p(MAX_PRICE) else 0


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    sys.exit(main())
