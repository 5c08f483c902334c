"""How `opclock rank --cluster` scales from one worker to eight, on this machine.

    python -m benchmarks.farm.cluster [--workers 1,2,4,8] [--traces 400]

Each worker is a process of dask's with one process for candidates. The profile's times are made up. The start of the
processes is part of the seconds. Scheduler and client are one process here; what it takes for each candidate is what
dask adds to the estimate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from distributed import LocalCluster

from benchmarks.ranking import made_up, write_traces
from opclock.cli.shipping import Shipment
from opclock.farm.address import Address
from opclock.farm.ranking import estimate_on_cluster
from opclock.profiles.profile import Profile
from opclock.ranking.candidates import Specification
from opclock.ranking.processes import Candidate, estimate_in_processes
from opclock.ranking.rows import Row


class _Run:
    """Receives the rows of one run."""

    def __init__(self) -> None:
        self._start, self._cpu_s = time.perf_counter(), time.process_time()
        self._count = 0

    def finished(self, _number: int, row: Row) -> None:
        assert not row.error, row.error
        self._count += 1

    def show(self, name: str) -> None:
        seconds = time.perf_counter() - self._start
        cpu_s = time.process_time() - self._cpu_s
        print(f"| {name} | {self._count} | {seconds:.1f} | {self._count / seconds:.1f} | "
              f"{cpu_s / self._count * 1e3:.2f} |", flush=True)  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,4,8")
    parser.add_argument("--traces", type=int, default=400)
    chosen = parser.parse_args()
    counts = list(map(int, chosen.workers.split(",")))
    with tempfile.TemporaryDirectory() as text:
        folder, path = Path(text) / "traces", Path(text) / "board.sqlite"
        folder.mkdir()
        made_up(path)
        write_traces(folder, chosen.traces)
        candidates: list[Candidate] = [(number, path.stem) for number, path in enumerate(sorted(folder.iterdir()))]
        print("| workers | candidates | seconds | candidates/s | client and scheduler (ms each) |\n|" + " ---: |" * 5)
        for count in (one for one in counts if one <= 2):
            run = _Run()
            estimate_in_processes(Specification(str(folder)), path, 2, count, candidates, run.finished)
            run.show(f"{count} without dask")
        for count in counts:
            with (
                LocalCluster(
                    n_workers=count, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
                ) as cluster,
                Profile.open(path) as profile,
            ):
                shipped, run = Shipment(), _Run()
                there = Specification(shipped.take(str(folder)))
                address = Address.of(cluster.scheduler_address)
                estimate_on_cluster(address, str(folder), there, shipped.files, profile, 2, candidates, run.finished)
                run.show(str(count))


if __name__ == "__main__":
    main()
