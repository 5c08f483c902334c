"""How far a farm scales, by simulation: a simulated board answers in scripted time and measures nothing.

    python -m benchmarks.farm.scaling [--boards 10,100,1000] [--jobs 10] [--answer-s 0.05]
    python -m benchmarks.farm.scaling --merge 10000,100000,10000*1000   # op calls of a board's profile, times boards

The scheduler is a process of its own; the boards are real dask workers, up to 250 in a process. Boards have a profile
each on the laptop, so 1,000 boards of 10,000 op calls are ten million.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.farm.small_farm import SmallFarm, job, wait_until
from opclock.farm import worker
from opclock.farm.address import Address
from opclock.farm.examination import Examination
from opclock.farm.job import Job, Outcome
from opclock.farm.running import Runner
from opclock.temporary import temporary_folder

PER_PROCESS = 250
IDLE_S = 10.0
CHECKS = ({"name": "load", "status": "ok", "finding": "", "remedy": ""},)


async def _simulate(url: str, first: int, count: int, answer_s: float, folder: Path) -> None:
    """Boards that answer after so many seconds."""

    def answer(self: Runner, one: Job, *, cancelled: Callable[[], bool]) -> Outcome:
        self.current = one.id
        self.changed()
        time.sleep(answer_s)
        self.current = ""
        self.changed()
        return Outcome(self._name, "done", code=0, result={"schema": "made up/1"})

    Runner.run = answer  # type: ignore[method-assign]
    examination = Examination({"identity": "a board"}, CHECKS, {"opclock": "0", "torch": "0"})
    worker.for_a_board()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    workers = []
    for number in range(first, first + count):
        member = worker.Member(f"b{number}", (), examination, (), folder)
        workers.append(worker.BoardWorker(Address.of(url), member, folder, "127.0.0.1"))
    for begin in range(0, count, 25):
        await asyncio.gather(*workers[begin : begin + 25])
    await asyncio.gather(*(one.finished() for one in workers))


def _farm(boards: int, jobs: int, answer_s: float) -> None:
    """Give every board so many jobs, and print what it took."""
    with tempfile.TemporaryDirectory() as folder:
        farm = SmallFarm(Path(folder), real_pace=True, gone_s=600.0)
        command = [sys.executable, "-m", "benchmarks.farm.scaling", "--simulate", farm.url, str(answer_s)]
        children = [subprocess.Popen([*command, str(first), str(min(PER_PROCESS, boards - first))])
                    for first in range(0, boards, PER_PROCESS)]  # fmt: skip
        try:
            with farm.connect() as connected:
                start = time.monotonic()
                wait_until(lambda: len(connected.boards()) == boards, 600.0)
                joined_s = time.monotonic() - start
                scheduler = psutil.Process(farm.pid("scheduler"))
                idle = _cpu(scheduler)
                time.sleep(IDLE_S)
                idle = (_cpu(scheduler) - idle) / IDLE_S
                cpu, mine, start = _cpu(scheduler), time.process_time(), time.monotonic()
                given = [job("answer", number, where=f"name:b{board}", versions=())
                         for board in range(boards) for number in range(jobs)]  # fmt: skip
                outcomes = [outcome for _, outcome in connected.run(given)]
                assert {outcome.status for outcome in outcomes} == {"done"}, outcomes[0].reason
                count = len(outcomes)
                wall_s = time.monotonic() - start
                theirs = (_cpu(scheduler) - cpu) / count
                print(
                    f"| {boards} | {count} | {joined_s:.1f} | {idle:.1%} | {theirs * 1e3:.2f} | "
                    f"{(time.process_time() - mine) / count * 1e3:.2f} | {wall_s / count * 1e3:.2f} | "
                    f"{scheduler.memory_info().rss / 1e6:.0f} | {_own_mb():.0f} |", flush=True,
                )  # fmt: skip
        finally:
            farm.close()
            for child in children:
                child.kill()
                child.wait()


def _merge(op_calls: int, boards: int) -> None:
    """Merge so many boards' profiles with so many op calls into existing ones, twice, and print what it took."""
    from benchmarks.scale import BOARD, fill
    from opclock.farm.result import take_profile
    from opclock.profiles.profile import Profile

    with tempfile.TemporaryDirectory() as folder:
        sent, mine = Path(folder) / "sent.sqlite", [Path(folder) / f"mine-{board}.sqlite" for board in range(boards)]
        with Profile.create_or_open(sent, BOARD) as profile:
            fill(profile, op_calls)
        for path in mine:
            Profile.create_or_open(path, BOARD).close()
        content = sent.read_bytes()
        outcome = Outcome("b", "done", profile=content, profile_sha256=hashlib.sha256(content).hexdigest())
        spent_s = []
        for _ in ("first", "again"):
            start = time.perf_counter()
            for path in mine:
                take_profile(outcome, path)
            spent_s.append(time.perf_counter() - start)
        print(f"| {boards:,} | {op_calls * boards:,} | {len(content) * boards / 1e6:.1f} | {spent_s[0]:.2f} | "
              f"{spent_s[1]:.2f} | {_own_mb():.0f} |", flush=True)  # fmt: skip


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _own_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boards", default="10,100,1000")
    parser.add_argument("--jobs", type=int, default=10, help="of each board")
    parser.add_argument("--answer-s", type=float, default=0.05)
    parser.add_argument("--merge", default="")
    parser.add_argument("--simulate", nargs=4, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.simulate:
        url, answer_s, first, count = chosen.simulate
        with temporary_folder() as folder:
            asyncio.run(_simulate(url, int(first), int(count), float(answer_s), folder))
    elif chosen.merge:
        print("| boards | op calls | MB | merge (s) | again (s) | memory (MB) |\n|" + " ---: |" * 6)
        for text in chosen.merge.split(","):
            op_calls, _, boards = text.partition("*")
            _merge(int(op_calls), int(boards or 1))
    else:
        print("| boards | jobs | joined (s) | scheduler idle | scheduler (ms/job) | laptop (ms/job) | wall (ms/job) | "
              "scheduler (MB) | laptop (MB) |\n|" + " ---: |" * 9)  # fmt: skip
        for text in chosen.boards.split(","):
            _farm(int(text), chosen.jobs, chosen.answer_s)


if __name__ == "__main__":
    main()
