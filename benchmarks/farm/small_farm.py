"""Starts, stops and breaks a farm on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from opclock.errors import FarmError
from opclock.farm.address import Address
from opclock.farm.job import Job
from opclock.farm.session import Farm

PROCESS = Path(__file__).with_name("process.py")
VERSIONS = (("torch", "2.13.0"),)
LIMIT_S = 30.0


class SmallFarm:
    """A scheduler and boards, each a process."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        with closing(socket.socket()) as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.folder, self.url = folder, f"tcp://127.0.0.1:{self.port}"
        self._environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s", **(environment or {})}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._options: dict[str, dict[str, object]] = {}
        self.begin("scheduler", port=self.port)

    def begin(self, name: str, **options: object) -> None:
        """Start the scheduler or a board, again with the same options where it was there before."""
        options = options or self._options.get(name, {})
        self._options[name] = options
        role = "scheduler" if name == "scheduler" else "board"
        if role == "board":
            store = self.store(name)
            store.mkdir(parents=True, exist_ok=True)
            options = {"name": name, "url": self.url, "store": str(store), **options}
        with (self.folder / f"{name}.txt").open("a") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, str(PROCESS), role, json.dumps(options)], stdout=log, stderr=log, env=self._environment
            )

    def store(self, name: str) -> Path:
        """The folder of a board's jobs."""
        return self.folder / "stores" / name

    def kill(self, name: str) -> None:
        """End one at once."""
        self._processes[name].kill()
        self._processes[name].wait()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one."""
        self._processes[name].send_signal(number)

    def pid(self, name: str) -> int:
        """Its process."""
        return self._processes[name].pid

    def code(self, name: str) -> int:
        """Wait for its end, and return its exit code."""
        return self._processes[name].wait(LIMIT_S)

    def connect(self, patience_s: float = LIMIT_S) -> Farm:
        """Connect, once the scheduler answers."""
        until = time.monotonic() + LIMIT_S
        while True:
            try:
                return Farm(Address.of(self.url), patience_s)
            except FarmError:
                if time.monotonic() > until:
                    raise

    def wait_for(self, *names: str) -> None:
        """Wait until these boards, and no others, have joined."""
        with self.connect() as farm:
            wait_until(lambda: {board.name for board in farm.boards()} == set(names))

    def close(self) -> None:
        """End all."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def wait_until(true: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    """Wait until something is true. Raises AssertionError where it does not become so."""
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until, "waited for nothing"
        time.sleep(0.02)


def job(
    *words: object, where: str = "name:a", versions: tuple[tuple[str, str], ...] = VERSIONS,
    **options: Any,  # noqa: ANN401 - of Job
) -> Job:  # fmt: skip
    """A made-up command for a board."""
    return Job(tuple(map(str, words)), where, versions, **options)


def lines(ledger: Path) -> list[str]:
    """What the made-up commands have noted: begin, on or end, and where."""
    return ledger.read_text(encoding="utf-8").split("\n")[:-1] if ledger.exists() else []


def events(ledger: Path) -> list[str]:
    """What they have noted, without the places."""
    return [line.split()[0] for line in lines(ledger)]
