"""Bad uses of the command line and of the Python API, made from seeds: each ends in one line, and damages nothing.

    python -m benchmarks.fuzz [--count 1000] [--first 0] [--processes 40] [--only SEED]

A use is a command with bad arguments, files, environment variables or a model that raises, or, every third time, a
public function with wrong objects or values. Each must end with exit code
0, 1 or 2, without a traceback, code 2 (in Python: an OpclockError) with exactly one line, and every file that the
command did not have to write must be as before. Most run in this process; the first ones with environment variables run
in a process of their own. What fails is printed with its seed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.fuzz.calls import bad_call
from benchmarks.fuzz.commands import bad_command
from benchmarks.fuzz.files import digests, make_files
from benchmarks.fuzz.judging import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="bad uses")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=40, help="how many of them run in a process of their own")
    parser.add_argument("--only", type=int, help="this seed alone, in a process of its own")
    return parser.parse_args(arguments)


def fuzz(arguments: list[str] | None = None) -> int:
    """Run all uses and print what was wrong. Returns the number of uses with a fault."""
    chosen = parse(arguments)
    seeds = range(chosen.first, chosen.first + chosen.count) if chosen.only is None else [chosen.only]
    left = 1 if chosen.only is not None else chosen.processes
    failed, verbs, start = 0, Counter[str](), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        good = Path(place)
        make_files(good)
        names = list(digests(good))
        for seed in seeds:
            use = bad_call(seed) if seed % 3 == 2 else bad_command(seed, names)
            process = not use.call and left > 0 and (bool(use.environment) or chosen.only is not None)
            left -= process
            wrong = run(use, good, process=process)
            verbs[use.call.partition("(")[0] or use.arguments[0]] += 1
            if wrong:
                failed += 1
                print(f"seed {seed}: {use}")
                print("".join(f"  {one}\n" for one in wrong), end="", flush=True)
    print(f"{len(seeds)} bad uses in {time.monotonic() - start:.0f} s ({dict(verbs)}): {failed} with a fault")
    return failed


if __name__ == "__main__":
    sys.exit(1 if fuzz() else 0)
