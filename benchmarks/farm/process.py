"""A scheduler or a board, as a process of its own. What takes long is made up: the examination, the pace."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from opclock.farm import running, scheduler, worker
from opclock.farm.address import Address
from opclock.farm.examination import Examination
from opclock.version import VERSION

VERSIONS = {"python": "3", "opclock": VERSION, "torch": "2.13.0"}
REAL_PACE = "OPCLOCK_REAL_PACE" in os.environ
COMMAND = Path(__file__).with_name("made_up_command.py")


def _scheduler(options: dict[str, Any]) -> None:
    import distributed.scheduler

    if not REAL_PACE:
        distributed.scheduler.heartbeat_interval = lambda _boards: 0.05  # a board may be gone after ten times that
    security = Address.of(None, Path(options["tls"]) if options.get("tls") else None).security
    asyncio.run(scheduler.schedule("127.0.0.1", options["port"], security, lambda url: print(url, flush=True)))


def _board(options: dict[str, Any]) -> None:
    from opclock.farm import child

    if "cpus" in options:
        os.sched_setaffinity(0, options["cpus"])
    child.ENTRY = (sys.executable, str(COMMAND))
    if not REAL_PACE:
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
    asyncio.run(worker.belong(Address.of(options["url"]), member, lambda text: print(text, flush=True)))


def _fill_the_disk() -> None:
    """A command named full finds no room."""
    unpack = running.unpack

    def full(archive: bytes, folder: Path) -> None:
        if folder.with_name("full").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        unpack(archive, folder)

    running.unpack = full


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    {"scheduler": _scheduler, "board": _board}[sys.argv[1]](given)
