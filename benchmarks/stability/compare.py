"""Whether compare finds differences where there are none, and finds those that there are.

    python -m benchmarks.stability.compare [--pairs 10] [--pause 120] [--threads 1] [--fresh]

Sweeps the quick preset twice for each pair, with a pause between the two, and compares both. With --fresh it sweeps
once, and each pair is what `opclock compare --fresh` measures in turn. Then it makes half of the second profile's
kernels 10 % slower, and compares again. The exit code is 1 where over 1 % of the unchanged rows are
called faster or slower, at most half of them the same, or under 90 % of the changed ones slower.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from opclock.comparing.fresh import remeasured
from opclock.profiles.comparison import compare
from opclock.profiles.profile import Profile

CHANGE = 1.10

# The profiles of both sides, and what compare says of them as they are then.
Measured = tuple[Sequence[tuple[Path, Path]], Callable[[], pd.DataFrame]]


def main() -> None:
    """Run the pairs, print the shares, and exit with 1 where they miss their targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--pause", type=float, default=120.0, help="seconds between the two sweeps of a pair")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="measure both sides of a pair in turn")
    chosen = parser.parse_args()
    unchanged, changed = [], []
    pairs = _in_turn(chosen.pairs, chosen.threads) if chosen.fresh else _minutes_apart(
        chosen.pairs, chosen.threads, chosen.pause
    )  # fmt: skip
    for number, (profiles, table_of) in enumerate(pairs):
        unchanged.append(table_of())
        slower = _slow_down([second for _, second in profiles], np.random.default_rng(number))
        table = table_of()
        changed.append(table[table["op_call"].isin(slower)])
        print(f"pair {number + 1}: {unchanged[-1]['verdict'].value_counts().to_dict()}", flush=True)
    alike, moved = (pd.concat(tables)["verdict"].value_counts(normalize=True) for tables in (unchanged, changed))
    false, same, found = alike.get("faster", 0) + alike.get("slower", 0), alike.get("same", 0), moved.get("slower", 0)
    print(f"unchanged: {false:.1%} faster or slower, {same:.1%} same; 10 % slower: {found:.1%} found")
    sys.exit(int(false > 0.01 or same <= 0.5 or found < 0.9))


def _minutes_apart(count: int, threads: int, pause_s: float) -> Iterator[Measured]:
    """Sweep into two profiles, with a pause between the two."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            first, second = (Path(folder) / f"{number}{side}.sqlite" for side in "ab")
            _sweep(first, threads)
            time.sleep(pause_s)
            _sweep(second, threads)
            yield [(first, second)], partial(_verdicts, first, second)


def _in_turn(count: int, threads: int) -> Iterator[Measured]:
    """Sweep once; then measure that profile's kernels again in pairs of processes in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "once.sqlite"
        _sweep(path, threads)
        for _ in range(count):
            with remeasured(path, path, (sys.executable, sys.executable)) as measured:
                yield measured.profiles, measured.table


def _sweep(path: Path, threads: int) -> None:
    command = [sys.executable, "-m", "opclock", "sweep", "--preset", "quick", "--threads", str(threads)]
    subprocess.run([*command, "--profile", str(path)], check=True, capture_output=True)


def _verdicts(first: Path, second: Path) -> pd.DataFrame:
    with Profile.open(first) as one, Profile.open(second) as other:
        return compare(one, other)


def _slow_down(paths: Sequence[Path], random: np.random.Generator) -> set[str]:
    """Make a random half of the profiles' op calls slower, the same in each. Returns their keys."""
    chosen: dict[str, bool] = {}
    for path in paths:
        with sqlite3.connect(path) as connection:
            keys = dict(connection.execute("SELECT id, key FROM op_call"))
            for key in sorted(keys.values()):
                chosen.setdefault(key, random.random() < 0.5)
            _multiply(connection, {number for number, key in keys.items() if chosen[key]})
        connection.close()
    return {key for key, slower in chosen.items() if slower}


def _multiply(connection: sqlite3.Connection, op_calls: set[int]) -> None:
    members: dict[int, list[int]] = {}
    for pool, number in connection.execute("SELECT pool, op_call FROM member ORDER BY pool, position"):
        members.setdefault(pool, []).append(number)
    for pool, number, blob in connection.execute("SELECT pool, number, seconds FROM round").fetchall():
        factors = [CHANGE if member in op_calls else 1.0 for member in members[pool]]
        slower = (np.frombuffer(blob, "<f8") * factors).astype("<f8").tobytes()
        connection.execute("UPDATE round SET seconds = ? WHERE pool = ? AND number = ?", (slower, pool, number))


if __name__ == "__main__":
    main()
