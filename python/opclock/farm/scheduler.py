"""The scheduler's process."""

from __future__ import annotations

import errno
from collections.abc import Callable

from distributed import Scheduler, Security

from opclock.errors import FarmError
from opclock.farm.settings import for_a_scheduler

PAGES = "127.0.0.1:0"  # dask's status pages stay on this machine


async def schedule(host: str, port: int, security: Security, started: Callable[[str], None]) -> None:
    """Schedule until the task is cancelled.

    Args:
        host: the address to listen at.
        port: its port; 0: a free one.
        security: encryption, or none.
        started: receives the scheduler's URL.

    Raises:
        FarmError: it cannot listen there.
    """
    for_a_scheduler()
    protocol = "tls" if security.require_encryption else "tcp"
    scheduler = Scheduler(host=host, port=port, protocol=protocol, security=security, dashboard=False,
                          dashboard_address=PAGES)  # fmt: skip
    try:
        async with scheduler:
            started(scheduler.address)
            await scheduler.finished()
    except (OSError, RuntimeError) as error:
        reason = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if scheduler.status.name in ("init", "failed", "starting", "closed") and isinstance(reason, OSError):
            option = "--port" if reason.errno == errno.EADDRINUSE else "--host"
            words = f"cannot listen at {host}:{port}: {reason.strerror or reason}; give another {option}"
            raise FarmError(words) from error
        raise
