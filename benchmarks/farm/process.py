"""A scheduler or a board, as a process of its own. What takes long is made up: the examination, the pace."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from pathlib import Path
from typing import Any

import dask

from opclock.errors import FarmError
from opclock.farm import running, scheduler, worker
from opclock.farm.address import Address
from opclock.farm.examination import Examination
from opclock.version import VERSION

VERSIONS = {"python": "3", "opclock": VERSION, "torch": "2.13.0"}
Options = dict[str, Any]
COMMAND = Path(__file__).with_name("made_up_command.py")


def begin(role: str, options: Options, log: Path) -> None:
    """Be a scheduler or a board until this process is killed.

    Args:
        role: which of the two.
        options: ``real_pace``, ``tls`` (a folder) and what the role needs.
        log: receives what the process prints.
    """
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    {"scheduler": _scheduler, "board": _board}[role](options)


def _scheduler(options: Options) -> None:
    import distributed.scheduler

    dask.config.set({"distributed.scheduler.worker-ttl": f"{options['gone_s']} s"})
    if not options["real_pace"]:
        distributed.scheduler.heartbeat_interval = lambda _boards: 0.05  # a board may be gone after ten times that
    security = Address.of(None, _tls(options)).security
    asyncio.run(scheduler.schedule(options["host"], options["port"], security, lambda url: print(url, flush=True)))


def _board(options: Options) -> None:
    from opclock.farm import child

    if "cpus" in options:
        os.sched_setaffinity(0, options["cpus"])
    child.ENTRY = (sys.executable, str(COMMAND))
    if not options["real_pace"]:
        worker.HEARTBEAT_S, worker.REJOIN_S, running.LOOK_S = 0.2, 0.1, 0.05
    versions = {**VERSIONS, **options.get("versions", {})}
    running.installed = lambda: versions
    _fill_the_disk()
    now = time.time
    worker.time.time = lambda: now() + options.get("ahead_s", 0.0)
    identity = options.get("identity", "a board")
    checks = ({"name": "load", "status": "ok", "finding": "", "remedy": ""},)
    examination = Examination({"identity": identity, "commit": "abc"}, checks, versions)
    member = worker.Member(options["name"], tuple(options.get("tags", ())), examination,
                           ("throttling", "governor", "load"), Path(options["store"]))  # fmt: skip
    address = Address.of(options["url"], _tls(options))
    try:
        asyncio.run(worker.belong(address, member, lambda text: print(text, flush=True)))
    except FarmError as error:
        sys.exit(f"opclock: {error}")


def _tls(options: Options) -> Path | None:
    return Path(options["tls"]) if options.get("tls") else None


def _fill_the_disk() -> None:
    """A command named full finds no room."""
    unpack = running.unpack

    def full(archive: bytes, folder: Path) -> None:
        if folder.with_name("full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        unpack(archive, folder)

    running.unpack = full
