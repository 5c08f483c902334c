"""Kills `opclock measure` at random moments and looks at the profile each time.

    python -m benchmarks.kill [--kills 20] [--model zoo:shufflenet]

Every reopened profile must be whole and must hold at least the rounds it held before; the last run, left alone, must
end what the killed ones began.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from opclock.profiles.profile import Profile

LONGEST_S = 6.0  # a run takes about this long: kills fall on import, tracing, warm-up and rounds alike


def kept_rounds(path: Path) -> int:
    """Rounds in the profile; 0 where there is none yet. Raises ProfileError where it is not whole."""
    if not path.exists():
        return 0
    with Profile.open(path) as profile:
        return sum(profile.pool(pool).rounds for pool in profile.pools(["in_model"], "cpu", 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--model", default="zoo:shufflenet")
    options = parser.parse_args()
    choose = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "board.sqlite"
        command = [sys.executable, "-m", "opclock", "measure", options.model, "--threads", "1", "--profile", str(path)]
        kept = 0
        for number in range(options.kills):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_s = choose.uniform(0, LONGEST_S)
            time.sleep(wait_s)
            ended = process.poll() is not None
            process.send_signal(signal.SIGKILL)
            process.wait()
            now = kept_rounds(path)
            assert now >= kept, f"kill {number}: {kept} rounds before, {now} after"
            print(f"kill {number + 1:2d} after {wait_s:4.1f} s{' (had ended)' if ended else ''}: whole, {now} rounds")
            kept = now
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with Profile.open(path) as profile:
            pools = [profile.pool(pool) for pool in profile.pools(["in_model"], "cpu", 1)]
        assert all(pool.ended for pool in pools)
        assert kept_rounds(path) >= kept
        print(f"left alone: {len(pools)} pool, {kept_rounds(path)} rounds, ended {pools[0].ended}")


if __name__ == "__main__":
    main()
