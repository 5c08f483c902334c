"""Starts, stops and breaks a farm on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from benchmarks.farm import process
from opclock.errors import FarmError
from opclock.farm.address import Address
from opclock.farm.job import Job
from opclock.farm.session import Farm

VERSIONS = (("torch", "2.13.0"),)
LIMIT_S = 60.0
PROCESSES = multiprocessing.get_context("forkserver")  # dask is imported once for all of them
PROCESSES.set_forkserver_preload(["benchmarks.farm.process"])


class SmallFarm:
    """A scheduler and boards, each a process."""

    def __init__(
        self, folder: Path, *, real_pace: bool = False, gone_s: float = 1.0, host: str = "127.0.0.1",
        tls: Path | None = None,
    ) -> None:  # fmt: skip
        """Start the scheduler.

        Args:
            folder: for logs and the boards' stores.
            real_pace: whether heartbeats and looks come as seldom as on real boards.
            gone_s: seconds without a heartbeat after which a board is gone.
            host: the address of this machine at which the scheduler listens.
            tls: folder with the certificate of the scheduler and of boards that name no other.
        """
        with closing(socket.socket()) as one:
            one.bind((host, 0))
            port = one.getsockname()[1]
        self.folder = folder
        self.address = Address.of(f"{host}:{port}", tls)
        self._common = {"real_pace": real_pace, "gone_s": gone_s, "tls": str(tls) if tls else ""}
        self._processes: dict[str, ForkServerProcess] = {}
        self._options: dict[str, dict[str, object]] = {}
        self.begin("scheduler", host=host, port=port)

    @property
    def url(self) -> str:
        """The scheduler's."""
        return self.address.url

    def begin(self, name: str, /, **options: object) -> None:
        """Start the scheduler or a board, again with the same options where it was there before."""
        options = options or self._options.get(name, {})
        self._options[name] = options
        role = "scheduler" if name == "scheduler" else "board"
        if role == "board":
            store = self.store(name)
            store.mkdir(parents=True, exist_ok=True)
            options = {"name": name, "url": self.url, "store": str(store), **options}
        arguments = (role, {**self._common, **options}, self.log(name))
        self._processes[name] = PROCESSES.Process(target=process.begin, args=arguments, daemon=True)
        self._processes[name].start()

    def log(self, name: str) -> Path:
        """What one has printed."""
        return self.folder / f"{name}.txt"

    def store(self, name: str) -> Path:
        """The folder of a board's jobs."""
        return self.folder / "stores" / name

    def kill(self, name: str) -> None:
        """End one at once."""
        self._processes[name].kill()
        self._processes[name].join()

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one."""
        os.kill(self.pid(name), number)

    def pid(self, name: str) -> int:
        """Its process."""
        pid = self._processes[name].pid
        assert pid is not None
        return pid

    def code(self, name: str) -> int:
        """Wait for its end, and return its exit code."""
        self._processes[name].join(LIMIT_S)
        code = self._processes[name].exitcode
        assert code is not None, f"{name} has not ended"
        return code

    def connect(self, patience_s: float = LIMIT_S) -> Farm:
        """Connect, once the scheduler answers."""
        until = time.monotonic() + LIMIT_S
        while True:
            try:
                return Farm(self.address, patience_s)
            except FarmError:
                if time.monotonic() > until:
                    raise

    def wait_for(self, *names: str) -> None:
        """Wait until these boards, and no others, have joined."""
        with self.connect() as farm:
            wait_until(lambda: {board.name for board in farm.boards()} == set(names))

    def close(self) -> None:
        """End all."""
        for one in self._processes.values():
            one.kill()
            one.join()


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
