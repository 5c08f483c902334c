"""The smallest batch for full throughput, estimated from kernels alone against measured, for the zoo's ten models.

    python -m benchmarks.batch [--share 0.95] [--max-batch 64] [--threads N] [--json FILE] [MODEL ...]

Each model has a fresh profile. Passes where the two lie at most a power of two apart for at least 8 of 10 models.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from opclock.benchmarking.batch_search import curves
from opclock.board.identity import read_board
from opclock.models.zoo import ZOO
from opclock.profiles.profile import Profile
from opclock.runtimes.runtime import Settings

MIN_AGREEING = 0.8


def powers_apart(one: int, other: int) -> int:
    """How many doublings lie between two batches."""
    return abs(one.bit_length() - other.bit_length())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=0.95)
    parser.add_argument("--max-batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    parser.add_argument("models", nargs="*", default=[f"zoo:{name}" for name in ZOO])
    chosen = parser.parse_args()
    rows = []
    for model in chosen.models:
        with (
            tempfile.TemporaryDirectory() as folder,
            Profile.create_or_open(Path(folder) / "profile.sqlite", read_board()) as profile,
        ):
            measured, estimated = curves(
                model, settings=Settings(chosen.threads), max_batch=chosen.max_batch, profile=profile
            )
        pair = [curve.smallest(chosen.share) or 0 for curve in (measured, estimated)]
        rows.append({"model": model, "measured": pair[0], "estimated": pair[1], "apart": powers_apart(*pair),
                     "curves": [measured.to_json(), estimated.to_json()]})  # fmt: skip
        print(f"{model}: measured {pair[0]}, estimated {pair[1]}, {rows[-1]['apart']} powers of two apart", flush=True)
        if chosen.json:
            chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    agreeing = sum(row["apart"] <= 1 for row in rows)
    print(f"{agreeing} of {len(rows)} agree within a power of two")
    return 0 if agreeing >= MIN_AGREEING * len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
