"""The CPU time until a command that measures nothing has answered, commands in turn in one run.

    python -m benchmarks.startup [--runs 10] [--check]

Commands: `opclock --help`, and `opclock estimate TRACE.json --profile FILE` for a model of 400 op calls. CPU time of
the process and its children, best and median. With --check, exits with 1 where a best is above its limit: the best is
what the command needs where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.scale import BOARD, THREADS, model, store_model
from opclock.profiles.profile import Profile

# Seconds of CPU: a quarter feels immediate, and an estimate also imports numpy and pandas.
LIMITS_S = {"--help": 0.25, "estimate": 0.6}


def cpu_s(arguments: list[str]) -> float:
    """CPU seconds of one run of opclock. Raises RuntimeError where it fails."""
    process = subprocess.Popen([sys.executable, "-m", "opclock", *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"opclock {' '.join(arguments)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def commands(folder: Path) -> dict[str, list[str]]:
    """Arguments by name; the files that they read are written into the folder."""
    trace, profile = folder / "trace.json", folder / "board.sqlite"
    trace.write_text(json.dumps(model().to_json()), encoding="utf-8")
    with Profile.create_or_open(profile, BOARD) as opened:
        store_model(opened, model())
    return {
        "--help": ["--help"],
        "estimate": ["estimate", str(trace), "--profile", str(profile), "--threads", str(THREADS)],
    }


def main() -> int:
    """Time, print, and with --check say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="of each command, after one that is not kept")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a best is above its limit")
    chosen = parser.parse_args()
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        by_name = commands(Path(folder))
        names, samples = list(by_name), {name: [] for name in by_name}
        for name in names:  # writes bytecode and fills the page cache
            cpu_s(by_name[name])
        for _ in range(chosen.runs):
            order.shuffle(names)
            for name in names:
                samples[name].append(cpu_s(by_name[name]))
    for name, seconds in samples.items():
        print(f"opclock {name:10} best {min(seconds):.3f} s  median {statistics.median(seconds):.3f} s  "
              f"limit {LIMITS_S[name]:.2f} s of CPU")  # fmt: skip
    missed = [name for name, seconds in samples.items() if min(seconds) > LIMITS_S[name]]
    return 1 if chosen.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
