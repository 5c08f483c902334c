"""What it costs to store a block of rounds so that it survives a loss of power.

    python -m benchmarks.storage [--folder .]

A block is one transaction, and the disk confirms it before `add_rounds` returns. Beside it, the same without waiting
for the disk. The two take turns. Storing happens between blocks, never inside a timed round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from opclock.board.identity import Board
from opclock.profiles.condition import Condition
from opclock.profiles.profile import Profile

BOARD = Board("x86_64", "benchmark", (), 2, (), 1 << 30, "", "", "2.13.0", "0", "")
CALLS, ROUNDS, BLOCKS = 200, 10, 100  # a model of 200 op calls, 50 kinds of host work
KINDS = 50


class Stored:
    """One profile with a pool, and the seconds that each block took."""

    def __init__(self, path: Path, synchronous: str) -> None:
        self.profile = Profile.create_or_open(path, BOARD)
        self.profile.ask(f"PRAGMA synchronous = {synchronous}")
        keys = [f"call{number}" for number in range(CALLS)]
        host = ("host", [f"kind{number}" for number in range(KINDS)])
        condition = Condition("in_model", "cpu", 1, 25)
        self.pool = self.profile.start_pool(condition, keys, [1] * CALLS, signature="s", host=host)
        self.block_s: list[float] = []

    def block(self) -> None:
        """Store a block of random numbers."""
        noise = np.random.default_rng(len(self.block_s))
        seconds, control_s, host_s = noise.random((ROUNDS, CALLS)), noise.random(ROUNDS), noise.random((ROUNDS, KINDS))
        start = time.perf_counter()
        self.profile.add_rounds(self.pool, seconds, control_s, host_s)
        self.block_s.append(time.perf_counter() - start)


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to judge")
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        ways = {
            "on disk": Stored(Path(folder) / "full.sqlite", "FULL"),
            "not waited for": Stored(Path(folder) / "off.sqlite", "OFF"),
        }
        for _ in range(BLOCKS):
            for stored in ways.values():
                stored.block()
        for name, stored in ways.items():
            median, worst = statistics.median(stored.block_s), max(stored.block_s)
            print(f"{name}: {median * 1e3:.2f} ms a block of {ROUNDS} rounds of {CALLS} op calls, "
                  f"at most {worst * 1e3:.1f} ms")  # fmt: skip
            stored.profile.close()


if __name__ == "__main__":
    main()
