"""One hundred faults in one run over two boards: nothing may be lost, nothing counted twice.

    python -m benchmarks.farm.faults [--faults 100] [--seed 0]

The scheduler, the boards and the laptop are real processes; the boards' commands store rounds in real profiles. The
laptop is a process, too: it merges what comes back into one profile for each board, notes the job, and is killed like
the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from benchmarks.farm.small_farm import SmallFarm, job, wait_until
from opclock.farm.address import Address
from opclock.farm.result import take_profile
from opclock.farm.session import Farm
from opclock.farm.worker import equal_boards
from opclock.profiles.profile import Profile

ROUNDS = 20
EVERY_S = 0.7  # from one fault to the next


def laptop(url: str, folder: Path, names: Sequence[str]) -> None:
    """Give the jobs that have no note yet, merge their profiles, and note them. May be killed at any time."""
    noted = folder / "noted.jsonl"
    done = {json.loads(line)["name"] for line in noted.read_text().splitlines()} if noted.exists() else set()
    words = ("--profile", "profile.sqlite")
    jobs = [job("rounds", name, *words, profile_name=words[1], where=equal_boards("a board"))
            for name in names if name not in done]  # fmt: skip
    wait_until(lambda: _connects(url), 60.0)
    with Farm(Address.of(url), 60.0) as farm:
        for one, outcome in farm.run(jobs):
            if outcome.status == "done":
                take_profile(outcome, folder / f"of-{outcome.board}.sqlite")
            line = {"name": one.words[1], "status": outcome.status, "reason": outcome.reason, "board": outcome.board,
                    "earlier_rounds": (outcome.result or {}).get("earlier_rounds", 0)}  # fmt: skip
            if outcome.status == "done":
                with noted.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            else:
                print(line, flush=True)


def _connects(url: str) -> bool:
    try:
        with Farm(Address.of(url)):
            return True
    except Exception:
        return False


class Breaker:
    """Injects faults into a farm and its laptop."""

    def __init__(self, farm: SmallFarm, folder: Path, names: Sequence[str], seed: int) -> None:
        self._farm, self._folder, self._names = farm, folder, names
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.laptop = self._begin_laptop()

    def _begin_laptop(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.farm.faults", "--laptop", self._farm.url, str(self._folder),
                   *self._names]  # fmt: skip
        with (self._folder / "laptop.txt").open("a") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def keep_laptop(self) -> bool:
        """Start the laptop again where it has ended. Returns whether all jobs are noted."""
        if self.laptop.poll() is None:
            return False
        if self.laptop.returncode == 0:
            noted = (self._folder / "noted.jsonl").read_text().splitlines()
            if {json.loads(line)["name"] for line in noted} == set(self._names):
                return True
        self.laptop = self._begin_laptop()
        return False

    def inject(self) -> None:
        """One fault, of a kind drawn by chance."""
        kinds: dict[str, Callable[[], None]] = {
            "board killed": lambda: self._restart(self._random.choice("ab")),
            "board unplugged for 2 s": lambda: self._stop(self._random.choice("ab"), 2.0),
            "scheduler restarted": lambda: self._restart("scheduler"),
            "laptop killed": self._kill_laptop,
            "laptop suspended for 2 s": self._suspend_laptop,
            "command killed": self._kill_command,
            "disk full for 0.5 s": self._fill_disk,
        }
        weights = (20, 20, 10, 10, 10, 20, 10)
        name = self._random.choices(list(kinds), weights)[0]
        self.counts[name] += 1
        kinds[name]()

    def _restart(self, name: str) -> None:
        self._farm.kill(name)
        self._farm.begin(name)

    def _stop(self, name: str, seconds: float) -> None:
        self._farm.send(name, signal.SIGSTOP)
        time.sleep(seconds)
        self._farm.send(name, signal.SIGCONT)

    def _kill_laptop(self) -> None:
        self.laptop.kill()
        self.laptop.wait()
        self.laptop = self._begin_laptop()

    def _suspend_laptop(self) -> None:
        self.laptop.send_signal(signal.SIGSTOP)
        time.sleep(2.0)
        self.laptop.send_signal(signal.SIGCONT)

    def _kill_command(self) -> None:
        for board in "ab":
            for command in psutil.Process(self._farm.pid(board)).children():
                with contextlib.suppress(psutil.Error):
                    command.kill()

    def _fill_disk(self) -> None:
        marker = self._farm.store(self._random.choice("ab")) / "full"
        marker.touch()
        time.sleep(0.5)
        marker.unlink()


def judge(folder: Path, names: Sequence[str]) -> list[str]:
    """What is wrong with what the laptop has at the end."""
    noted = [json.loads(line) for line in (folder / "noted.jsonl").read_text().splitlines()]
    wrong = [f"{name} is noted {count} times" for name in names
             if (count := sum(line["name"] == name for line in noted)) != 1]  # fmt: skip
    rounds: Counter[str] = Counter()
    for path in folder.glob("of-*.sqlite"):
        with Profile.open(path) as profile:
            for name, count in profile.ask(
                "SELECT signature, (SELECT count(*) FROM round WHERE pool = pool.id) FROM pool"
            ):
                rounds[name] += count
                wrong += [] if count == ROUNDS else [f"{name} has {count} rounds in {path.name}"]
    wrong += [f"{name} has {rounds[name]} rounds in all" for name in names if rounds[name] != ROUNDS]
    return wrong


def main() -> int:
    """Run, and print the table. Returns 1 where something was lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--laptop", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.laptop:
        url, folder, *names = chosen.laptop
        laptop(url, Path(folder), names)
        return 0
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        names = [f"{folder.name}-{number}" for number in range(chosen.faults)]
        start, farm = time.monotonic(), SmallFarm(folder)
        try:
            for name in "ab":
                farm.begin(name)
            breaker = Breaker(farm, folder, names, chosen.seed)
            while not breaker.keep_laptop():
                time.sleep(EVERY_S)
                if sum(breaker.counts.values()) < chosen.faults:
                    breaker.inject()
        finally:
            farm.close()
        for kind, count in sorted(breaker.counts.items()):
            print(f"| {kind} | {count} |")
        noted = [json.loads(line) for line in (folder / "noted.jsonl").read_text().splitlines()]
        wrong = judge(folder, names)
        print(f"{sum(breaker.counts.values())} faults, {len(names)} jobs, {len(wrong)} lost or counted twice; "
              f"{sum(line['earlier_rounds'] > 0 for line in noted)} went on from stored rounds; "
              f"{time.monotonic() - start:.0f} s")  # fmt: skip
        for line in wrong:
            print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
