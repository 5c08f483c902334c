"""opclock's ceilings against their peers, in turn in one run: PyTorch's large matmul, and STREAM as compiled.

    python -m benchmarks.ceilings [--threads N]

Fails where the multiply-adds are below 0.95 of what the matmul reaches, or the bandwidth below 0.95 of STREAM's best,
or where ceilings contradict one another: narrow numbers slower than wide ones, a second thread that takes away, far
memory faster than near memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from opclock.extension import load_core, process_clock
from opclock.prediction.ceilings import PATTERNS
from opclock.timing.threads import thread_team

ROUNDS, SIDE, DRAM_BYTES, PASS_S, MIN_SHARE = 7, 2048, 3 << 27, 0.3, 0.95


def matmul_macs_per_s(threads: int) -> float:
    """The best of several large products."""
    left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    best = 0.0
    with thread_team(threads):
        for _ in range(4):
            start = time.perf_counter()
            torch.mm(left, right)
            best = max(best, SIDE**3 / (time.perf_counter() - start))
    return best


def stream_bytes_per_s(program: Path, threads: int) -> float:
    """The best of STREAM's four kernels."""
    done = subprocess.run([program], capture_output=True, text=True, check=True,
                          env={**os.environ, "OMP_NUM_THREADS": str(threads)})  # fmt: skip
    return max(float(text) for text in done.stdout.split())


def contradictions() -> int:
    """Print ratios between opclock's own ceilings, and return how many lie below what every machine reaches."""
    core, clock = load_core(), process_clock()

    def macs_per_s(dtype: str, threads: int) -> float:
        return float(core.multiply_adds_per_s(clock, dtype, threads, PASS_S))

    ratios = {
        "float32 / float64": (macs_per_s("float32", 1) / macs_per_s("float64", 1), 1.2),
        "two threads / one": (macs_per_s("float32", 2) / macs_per_s("float32", 1), 0.5),
        "reads of 16 KiB / 256 MiB": (
            core.bytes_per_s(clock, "read", 1 << 14, 1, PASS_S) / core.bytes_per_s(clock, "read", 1 << 28, 1, PASS_S),
            1.0,
        ),
        "loads of 8 KiB / 128 MiB": (
            core.loads_per_s(clock, 1 << 13, PASS_S) / core.loads_per_s(clock, 1 << 27, PASS_S),
            2.0,
        ),
    }
    for name, (ratio, lowest) in ratios.items():
        print(f"{name:27} {ratio:.2f}, at least {lowest} expected")
    return sum(ratio < lowest for ratio, lowest in ratios.values())


def main() -> int:
    """Compare, print each ratio with its spread, and say whether all hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    threads = parser.parse_args().threads
    core, clock = load_core(), process_clock()
    multiply: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "stream"
        source = Path(__file__).with_name("stream.cpp")
        subprocess.run(["g++", "-O3", "-march=native", "-fopenmp", source, "-o", program], check=True)
        for _ in range(ROUNDS):
            own = core.multiply_adds_per_s(clock, "float32", threads, PASS_S)
            multiply.append(own / matmul_macs_per_s(threads))
            bandwidth = max(core.bytes_per_s(clock, name, DRAM_BYTES, threads, PASS_S) for name in PATTERNS)
            memory.append(bandwidth / stream_bytes_per_s(program, threads))
    for name, ratios in (("multiply-adds / matmul", multiply), ("DRAM bandwidth / STREAM", memory)):
        print(f"{threads} threads  {name:24} median {statistics.median(ratios):.3f}, {min(ratios):.3f} to "
              f"{max(ratios):.3f}")  # fmt: skip
    reached = min(statistics.median(multiply), statistics.median(memory)) >= MIN_SHARE
    return 0 if contradictions() == 0 and reached else 1


if __name__ == "__main__":
    sys.exit(main())
